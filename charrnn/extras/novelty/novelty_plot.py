"""The curve of a report: how much of a text is copied, by the length of what is looked at."""

from __future__ import annotations

from pathlib import Path

from charrnn.errors import InputError, install
from charrnn.extras.novelty.novelty_report import LONGEST, Report
from charrnn.files import replacing


def draw(report: Report, path: Path) -> None:
    """Write the curve as a PNG.

    Raises:
        InputError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            f"report: its plot needs matplotlib ({error}); {install('novelty')}"
        ) from None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    shares = [100 * share for share in report.copied]
    axes.plot(range(1, len(shares) + 1), shares, linewidth=2)
    if report.longest is not None and (length := len(report.longest.text)) <= LONGEST:
        axes.axvline(length, color="gray", linestyle="dashed")
        axes.annotate("the longest copy ", (length, 97), ha="right", va="top", color="gray")
    axes.set(
        title=f"{report.characters:,} characters beside {report.training_characters:,} "
        "of the training text",
        xlabel="length of a passage, in characters",
        ylabel="stand in the training text, %",
        xlim=(1, LONGEST),
        ylim=(0, 101),
    )
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
