"""The curves of many runs in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from charrnn.errors import InputError, install
from charrnn.files import replacing
from charrnn.runs import records
from charrnn.sweeps.leaderboard import Leaderboard
from charrnn.sweeps.summary import Summary

NAMED = 12  # runs, from the best on, that the legend names; the others are grey


def draw(board: Leaderboard, path: Path) -> None:
    """Write the validation losses by steps as a PNG; the training losses thin beside them.

    Raises:
        InputError: matplotlib is not installed, or no run has a loss.
        RunError: the file cannot be written.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(f"curves: needs matplotlib ({error}); {install('sweep')}") from None
    runs = [run for run in board.runs if run.loss is not None]
    if not runs:
        raise InputError(f"curves={path}: no run has a validation loss to draw")
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    colors = colormaps["viridis"]
    losses: list[float] = []  # of validation
    for place, run in reversed(list(enumerate(runs))):
        named = place < NAMED
        color = colors(0.9 * place / max(1, min(NAMED, len(runs)) - 1)) if named else "0.8"
        rows = records.metrics(run.folder)
        losses += [loss for _, loss in records.curve(rows, "val/loss")]
        for name, width in (("train/loss", 0.5), ("val/loss", 1.8)):
            points = records.curve(rows, name)
            label = _label(board, run) if named and name == "val/loss" else None
            axes.plot(*zip(*points, strict=True), color=color, linewidth=width, label=label)
    axes.set(
        xlabel="step",
        ylabel="loss, nats per character",
        title=f"validation loss of {len(runs)} runs; thin: training loss",
        ylim=_limits(losses),
    )
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], fontsize="x-small")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _label(board: Leaderboard, run: Summary) -> str:
    options = " ".join(f"{name}={run.value(name)}" for name in board.options)
    return f"{run.loss:.4f}  {options if len(options) <= 70 else options[:67] + '...'}"


def _limits(losses: Sequence[float]) -> tuple[float, float]:
    """From below the lowest to what most of the curves are under."""
    lowest, high = min(losses), sorted(losses)[math.ceil(0.98 * (len(losses) - 1))]
    margin = 0.1 * (high - lowest) or 0.1
    return lowest - margin, high + margin
