"""The training step of the default recipe, through `charrnn train` and through its peers.

Everything is on in `charrnn train`: validation, samples, logging, checkpoints, TensorBoard.
What it takes from the end of the first step to the end of the run, validation and files
included, is divided by the steps.
"""

from __future__ import annotations

import re
import sys

from benchmarks.measuring import Ended, Measured, interleaved, run
from benchmarks.results import Part, ratio, row
from benchmarks.workplace import REPOSITORY, Workplace, seconds_a_step


def measure(place: Workplace) -> Part:
    steps = place.effort.size(1000, least=12)
    threads, precision = chosen(place)
    peaks: dict[str, list[int]] = {"charrnn": [], "bare": [], "plain": [], "keeping": []}

    def charrnn() -> float:
        ended, _ = place.train(*place.data_options, f"trainer.max_steps={steps}")
        peaks["charrnn"].append(ended.peak_bytes)
        return seconds_a_step(ended, steps, "run folder:")

    def bare(name: str, *more: str) -> float:
        ended = bare_loop(place, steps, precision, threads, *more)
        peaks[name].append(ended.peak_bytes)
        return seconds_a_step(ended, steps, "done")

    def plain() -> float:
        ended = peer(place, "plain", str(place.text), "--steps", str(steps))
        peaks["plain"].append(ended.peak_bytes)
        return seconds_a_step(ended, steps, "done")

    parts = interleaved(
        {
            "charrnn": charrnn,
            "bare": lambda: bare("bare"),
            "keeping": lambda: bare("keeping", "--keep"),
            "plain": plain,
        },
        place.effort,
    )
    peak = Measured([float(p) for p in peaks["charrnn"]], parts["charrnn"].calm)
    rows = [
        row(f"{what}, a step", "ms", parts[name], scale=1e3)
        for name, what in (
            ("charrnn", f"`charrnn train`, everything on ({precision}, {threads} threads)"),
            ("bare", f"bare PyTorch loop over the same network ({precision})"),
            ("keeping", f"the same, keeping its freed memory as charrnn does ({precision})"),
            ("plain", "plain nn.LSTM script (float32)"),
        )
    ]
    rows += [
        ratio("`charrnn train` / bare loop", parts, "charrnn", "bare", "<= 1.10"),
        ratio("`charrnn train` / bare loop that keeps its freed memory", parts, "charrnn",
              "keeping", "<= 1.10"),
        ratio("`charrnn train` / plain script", parts, "charrnn", "plain", "<= 0.5"),
        row("`charrnn train`, peak memory", "MB", peak, scale=1e-6, bar="<= 700"),
    ]  # fmt: skip
    return Part(rows, notes=[f"Corpus: {place.corpus[0]}. {steps} steps a round."])


def training_step(place: Workplace, steps: int) -> float:
    """Seconds a step of `charrnn train`, without validation."""
    ended, _ = place.train(*place.data_options, f"trainer.max_steps={steps}", "validate_every=0")
    return seconds_a_step(ended, steps, f"step {steps} /")


def chosen(place: Workplace) -> tuple[int, str]:
    """The threads and the precision that `charrnn train` says it chooses."""
    ended, _ = place.train(*place.data_options, "trainer.max_steps=2")
    for _, line in ended.lines:
        found = re.search(r"CPU, (\d+) threads?.*precision (\S+)", line)
        if found:
            return int(found[1]), found[2]
    raise ValueError(f"no line names the device: {ended.lines}")


def bare_loop(place: Workplace, steps: int, precision: str, threads: int, *more: str) -> Ended:
    h5, json = place.data
    return peer(
        place,
        "bare",
        *(str(h5), str(json)),
        *("--steps", str(steps), "--precision", precision, "--threads", str(threads)),
        *more,
    )


def peer(place: Workplace, name: str, *words: str) -> Ended:
    """Run one of `benchmarks.peers`."""
    command = [sys.executable, "-m", f"benchmarks.peers.{name}", *words]
    return run(command, place.folder, {"PYTHONPATH": str(REPOSITORY)})
