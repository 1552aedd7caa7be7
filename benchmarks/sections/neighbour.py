"""The training step beside a program that keeps one core busy, as on a machine that is used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks.measuring import interleaved
from benchmarks.results import Part, ratio, row
from benchmarks.sections.training import bare_loop, chosen, training_step
from benchmarks.workplace import Workplace, seconds_a_step


def measure(place: Workplace) -> Part:
    steps = place.effort.size(300, least=12)
    threads, precision = chosen(place)

    def charrnn() -> float:
        return training_step(place, steps)

    def bare() -> float:
        return seconds_a_step(bare_loop(place, steps, precision, threads, "--keep"), steps, "done")

    parts = interleaved(
        {
            "charrnn": charrnn,
            "charrnn, beside": _beside(charrnn),
            "bare": bare,
            "bare, beside": _beside(bare),
        },
        place.effort,
    )
    names = {"charrnn": "`charrnn train`, a step", "bare": "bare PyTorch loop, a step"}
    rows = []
    for part, what in names.items():
        for name, where in ((part, "alone"), (f"{part}, beside", "beside a busy program")):
            median = parts[name].median
            rows.append(row(f"{what} ({threads} threads), {where}", "ms", parts[name],
                            value=median * 1e3))  # fmt: skip
        rows.append(ratio(f"{what}, beside / alone", parts, f"{part}, beside", part))
    return Part(rows)


def _beside(part: Callable[[], float]) -> Callable[[], float]:
    def measured() -> float:
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            return part()
        finally:
            busy.kill()
            busy.wait()  # its time then counts as ours, not as another program's

    return measured
