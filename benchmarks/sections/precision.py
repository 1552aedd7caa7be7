"""Precision and threads: that bf16 does no harm, and that the rule that chooses is a good one.

`charrnn.runs.hardware` chooses by sizes alone, so that the same config on the same machine
always gives the same run. Here every choice is measured for a grid of sizes, and what the
rule's choice costs over the best one is told.
"""

from __future__ import annotations

import dataclasses
import statistics

from benchmarks.measuring import interleaved
from benchmarks.results import Part, Row
from benchmarks.sections.growth import Choice, choice, timed
from benchmarks.workplace import Workplace
from charrnn.cells import CELLS

HIDDEN = (32, 64, 128, 256, 512)
BATCH = (1, 5, 10, 25, 50, 100, 200)
# larger ones would take minutes, and leave no doubt
MOST_WORK = 30_000_000
# "2" is two threads that share out each product, "2s" two that share out the streams
CHOICES = {
    f"{name}, {threads}": Choice(precision, int(threads[0]), 2 if threads == "2s" else 1)
    for name, precision in (("f32", "32-true"), ("bf16", "bf16-mixed"))
    for threads in ("1", "2", "2s")
}


def measure(place: Workplace) -> Part:
    import torch

    from charrnn.processor import cpu_has_bf16, keep_freed_memory

    rows = [harm(place)] if cpu_has_bf16() else []
    notes = [] if rows else ["This processor has no bf16 of its own: float32 is chosen always."]
    if torch.get_num_threads() < 2:
        return Part(rows, notes=[*notes, "One core only: there is nothing to choose."])
    keep_freed_memory()  # as `charrnn train` does
    for kind in CELLS:
        costs, table = _grid(place, kind)
        rows.append(
            Row(f"{kind}: the rule's choice over the best, worst of {len(costs)} sizes",
                max(costs), "x", values={"": costs})
        )  # fmt: skip
        rows.append(Row(f"{kind}: the same, mean", statistics.mean(costs), "x"))
        notes.append(table)
    return Part(rows, notes=notes)


def harm(place: Workplace) -> Row:
    """The validation loss that bf16 ends with, over that of float32; three epochs each."""
    steps = place.effort.size(1068, least=6)
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        ended, _ = place.train(
            *place.data_options, f"trainer.precision={precision}", f"trainer.max_steps={steps}"
        )
        line = next(line for _, line in ended.lines if line.startswith("best validation loss"))
        losses[precision] = float(line.split()[3].rstrip(","))
    difference = losses["bf16-mixed"] - losses["32-true"]
    what = f"validation loss after {steps} steps, bf16 less float32 ({losses['32-true']:.4f})"
    return Row(what, difference, "nats", "<= 0.01", values={k: [v] for k, v in losses.items()})


def _grid(place: Workplace, kind: str) -> tuple[list[float], str]:
    """What the rule costs at each size, and a table of the fastest choices."""
    effort = dataclasses.replace(place.effort, rounds=min(2, place.effort.rounds))
    costs: list[float] = []
    lines = [
        f"Fastest for {kind} (precision, threads; 2s: two that share out the streams), and how "
        "long the rule's choice takes over it:",
        "",
        "| hidden \\ batch | " + " | ".join(str(n) for n in BATCH) + " |",
        "|" + " ---: |" * (len(BATCH) + 1),
    ]
    few = slice(None if place.effort.scale > 0.01 else 2)
    for hidden in HIDDEN[few]:
        cells = [str(hidden)]
        for batch in BATCH[few]:
            if hidden * hidden * batch > MOST_WORK:
                cells.append("")
                continue
            shape = dataclasses.replace(
                place.shape, kind=kind, hidden_size=hidden, batch_size=batch
            )
            steps = {
                name: timed(shape, how, 0.15 * effort.scale)
                for name, how in CHOICES.items()
                if how.shares <= batch
            }
            found = interleaved(steps, effort)
            times = {name: measured.median for name, measured in found.items()}
            best = min(times, key=lambda name: times[name])
            ruled = next(name for name, how in CHOICES.items() if how == choice(shape))
            costs.append(times[ruled] / times[best])
            over = "" if ruled == best else f" ({costs[-1]:.2f})"
            cells.append(best + over)
        lines.append("| " + " | ".join(cells) + " |")
    return costs, "\n".join(lines)
