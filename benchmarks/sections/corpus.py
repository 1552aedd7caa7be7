"""Training on corpora from 1 MB to 4 GB: neither the memory nor the step may grow."""

from __future__ import annotations

import shutil
from functools import partial

from benchmarks.measuring import Measured, interleaved
from benchmarks.results import Curve, Part, Row, ratio, rounds_of
from benchmarks.workplace import Workplace, seconds_a_step

SIZES = {"1 MB": 1 << 20, "32 MB": 1 << 25, "256 MB": 1 << 28, "1 GB": 1 << 30, "4 GB": 1 << 32}
SMALL, LARGE = "1 MB", "4 GB"


def measure(place: Workplace) -> Part:
    steps = place.effort.size(600, least=8)
    sizes = {name: place.effort.size(size, least=1 << 17) for name, size in SIZES.items()}
    room = shutil.disk_usage(place.folder).free
    if sum(sizes.values()) * 1.2 > room:
        return Part(notes=[f"Left out: no room for a corpus of 4 GB ({room >> 30} GB free)."])
    corpora = {name: place.repeated_ids(size, f"corpus-{size}") for name, size in sizes.items()}
    peaks: dict[str, list[float]] = {name: [] for name in sizes}

    def step(name: str) -> float:
        h5, json = corpora[name]
        ended, folder = place.train(
            f"data.input_h5={h5}", f"data.input_json={json}", f"trainer.max_steps={steps}"
        )
        shutil.rmtree(folder)
        peaks[name].append(ended.peak_bytes / 1e6)
        return seconds_a_step(ended, steps, "run folder:")

    ends = {name: partial(step, name) for name in (SMALL, LARGE)}
    parts = interleaved(ends, place.effort)
    growth = max(peaks[LARGE]) - max(peaks[SMALL])
    rows = [
        ratio(f"step with {LARGE} / step with {SMALL}", parts, LARGE, SMALL, "<= 1.05"),
        _memory(f"peak memory with {LARGE}", max(peaks[LARGE]), "<= 800", peaks[LARGE], parts),
        _memory(f"more than with {SMALL}", growth, "<= 100", [growth], parts),
    ]
    between = [name for name in sizes if name not in ends]
    once = {name: step(name) for name in between}
    times = {**{name: part.median for name, part in parts.items()}, **once}
    curves = [
        Curve(
            "corpus-step",
            "Training step and the size of the corpus",
            "characters",
            "ms a step",
            {"charrnn train": [(sizes[name], times[name] * 1e3) for name in sizes]},
            linear="y",
        ),
        Curve(
            "corpus-memory",
            "Peak memory and the size of the corpus",
            "characters",
            "MB",
            {"charrnn train": [(sizes[name], max(peaks[name])) for name in sizes]},
            linear="y",
        ),
    ]
    note = "Larger corpora are the training text over and over; validation is the same for all."
    for h5, _ in corpora.values():
        h5.unlink(missing_ok=True)
    return Part(rows, curves, [note])


def _memory(
    what: str, value: float, bar: str, values: list[float], parts: dict[str, Measured]
) -> Row:
    return Row(what, value, "MB", bar, rounds=rounds_of(parts[LARGE]), values={"": values})
