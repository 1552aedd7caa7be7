"""Write report.html, a page about a run, in a single file.

Its numbers are those of result.json, and its curves those of metrics.csv. It is made from files in
the run's folder only, so it can be written again at any time.
"""

from __future__ import annotations

import contextlib
import csv
import html
import math
from pathlib import Path
from string import Template

from charrnn.errors import to_one_line
from charrnn.files import replace_file
from charrnn.runs.folder import METRICS, REPORT
from charrnn.runs.result import Result, read_result
from charrnn.say import BITS_PER_NAT, format_duration, say

Curve = list[tuple[int, float]]  # (step, value)

MAX_POINTS = 400  # points of a curve
SKIPPED_SHARE = 0.02  # The first steps are not drawn: their high losses would flatten the curve.
WIDTH, HEIGHT = 440, 220  # of the curves, beside which the axes have their numbers
# the columns of metrics.csv, with the name of each curve
_CURVES = {"train/loss": "train", "val/loss": "network", "val/loss_as_written": "val"}
_LEGEND = {
    "train": "training loss",
    "network": "validation loss of the network",
    "val": "validation loss as the model writes",
}
TEMPLATE = Path(__file__).with_name("run_report.html")


def write_report(result: Result) -> Path:
    """Write report.html into a run's folder, and return its path."""
    path = result.folder / REPORT
    values = {
        "title": _escape(f"{result.network} on {result.text}"),
        "lead": _format_losses(result),
        "chart": _format_chart(read_curves(result.folder / METRICS)),
        "card": "\n".join(_list_facts(result)),
        "sample": _format_sample(result),
    }
    page = Template(TEMPLATE.read_text("utf-8")).substitute(values)
    with replace_file(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def at_end(folder: Path) -> Path | None:
    """Write the report of a run that has ended. An error must not make the run fail.

    Return None if there is none, because the run has logged no metrics.
    """
    result = read_result(folder)
    if result is None or not (folder / METRICS).is_file():
        return None
    try:
        return write_report(result)
    except Exception as error:
        say(f"{folder / REPORT} cannot be made ({to_one_line(error)})")
        return None


def read_curves(path: Path) -> dict[str, Curve]:
    """Read the losses of a metrics.csv, if there is one, without those that are not finite."""
    curves: dict[str, Curve] = {name: [] for name in _CURVES.values()}
    with (
        contextlib.suppress(FileNotFoundError),
        path.open(newline="", encoding="utf-8") as file,
    ):
        for row in csv.DictReader(file):
            for column, name in _CURVES.items():
                loss = float(row.get(column) or "nan")
                if math.isfinite(loss):
                    curves[name].append((int(row["step"]), loss))
    return curves


def _format_losses(result: Result) -> str:
    if result.loss is None or result.network_loss is None:
        return f"{result.steps:,} steps, without validation."
    loss, network_loss = result.loss, result.network_loss
    network = f" The loss of its network is {network_loss:.4f}." if network_loss != loss else ""
    return (
        f"Validation loss of the best model <b>{loss:.4f}</b> nats per character "
        f"({loss * BITS_PER_NAT:.3f} bits), after step {result.step:,} of {result.steps:,}."
        f"{network}"
    )


def _format_chart(curves: dict[str, Curve]) -> str:
    if not curves["val"] or curves["network"] == curves["val"]:
        curves = {"train": curves["train"], "val": curves["network"]}
    drawing = draw_chart(curves)
    if not drawing:
        return ""
    legend = "".join(
        f'<span><i class="{name}"></i>{_LEGEND[name]}</span>' for name in curves if curves[name]
    )
    return f'<h2>Loss</h2>\n<p class="legend">{legend}</p>\n{drawing}'


def _list_facts(result: Result) -> list[str]:
    size = f"{result.parameters:,} parameters, " if result.parameters else ""
    facts = {
        "text": result.text,
        "model": f"{size}{result.network}",
        "trained": f"{result.steps:,} steps in {format_duration(result.seconds)}",
        "options": " ".join(result.words),
    }
    return [f"<dt>{name}</dt><dd>{_escape(fact)}</dd>" for name, fact in facts.items() if fact]


def _format_sample(result: Result) -> str:
    """Return the sample that the training wrote with its best model, as HTML; "" if it wrote none.

    The samples of all validations are in the same folder.
    """
    path = result.folder / "samples" / f"step-{result.step or 0:07d}.txt"
    if not path.is_file():
        return ""
    text = path.read_text("utf-8", "replace")
    return f"<h2>A sample of the best model</h2>\n<pre>{_escape(text)}</pre>"


def _escape(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def draw_chart(curves: dict[str, Curve]) -> str:
    """Return curves with the ends of their axes as SVG; "" if there are no two points."""
    # every n-th point of a long curve, and its last
    curves = {n: [*c[: -1 : len(c) // MAX_POINTS + 1], c[-1]] for n, c in curves.items() if c}
    points = [point for curve in curves.values() for point in curve]
    if len(points) < 2:
        return ""
    right = max(step for step, _ in points)
    losses = [loss for step, loss in points if step >= SKIPPED_SHARE * right]
    low, high = min(losses), max(losses)
    x, y = WIDTH / right, HEIGHT / (high - low or 1)
    lines = []
    for name, curve in curves.items():
        line = " ".join(f"{x * step:.1f},{y * (high - loss):.1f}" for step, loss in curve)
        lines.append(f'<polyline class="{name}" points="{line}"/>')
    return (
        f'<svg class="chart" viewBox="-44 -8 {WIDTH + 52} {HEIGHT + 30}">'
        f'<path d="M0,0V{HEIGHT}H{WIDTH}"/>'
        f'<svg width="{WIDTH}" height="{HEIGHT}">{"".join(lines)}</svg>'
        f'<text x="-6" y="4">{high:.3f}</text><text x="-6" y="{HEIGHT}">{low:.3f}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 16}">step {right:,}</text></svg>'
    )
