"""Write report.html, a page about a run, in a single file.

Its numbers are those of result.json, and its curves those of metrics.csv. It is made from files in
the run's folder only, so it can be written again at any time.
"""

from __future__ import annotations

import contextlib
import csv
import html
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TypeVar

from charrnn.errors import InputError, to_one_line
from charrnn.files import replace_file
from charrnn.runs.folder import METRICS, RECORDED
from charrnn.runs.result import RESULT, Result, read_result
from charrnn.say import BITS_PER_NAT, format_duration, say

T = TypeVar("T")
Curve = list[tuple[int, float]]  # (step, value)

NAME = "report.html"
MAX_POINTS = 400  # points of a curve
SKIPPED_SHARE = 0.02  # The first steps are not drawn: their high losses would flatten the curve.
SIZE = 1000  # the size of the drawing's coordinates
MAX_SAMPLES = 6  # samples on the page, at even distances
# the columns of metrics.csv, with the name of each curve
_CURVES = {"train/loss": "train", "val/loss": "network", "val/loss_as_written": "val"}
_LEGEND = {
    "train": "training loss",
    "network": "validation loss of the network",
    "val": "validation loss as the model writes, with a dot at the best model",
}
_SAMPLE = re.compile(r"step-(\d{1,15})\.txt")
TEMPLATE = Path(__file__).with_name("run_report.html")


def write_report(folder: Path) -> Path:
    """Write report.html into a run's folder, and return its path.

    Raise InputError if the run has no result.
    """
    if (result := read_result(folder)) is None:
        raise InputError(f"{folder / RESULT}: cannot be read")
    curves, config, path = read_curves(folder / METRICS), "", folder / NAME
    with contextlib.suppress(OSError):
        config = (folder / RECORDED).read_text("utf-8", "replace")
    values = {
        "title": _escape(f"{result.network} on {result.text}"),
        "lead": _format_losses(result),
        "chart": _format_chart(result, curves),
        "card": "\n".join(_list_facts(result)),
        "samples": "\n".join(_format_samples(result, dict(curves["val"]))),
        "config": _escape(config),
    }
    page = Template(TEMPLATE.read_text("utf-8")).substitute(values)
    with replace_file(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def at_end(folder: Path) -> Path | None:
    """Write the report of a run that has ended. An error must not make the run fail.

    Return None if there is none, because the run has logged no metrics.
    """
    if not (folder / METRICS).is_file():
        return None
    try:
        return write_report(folder)
    except Exception as error:
        say(f"{folder / NAME} cannot be made ({to_one_line(error)})")
        return None


def read_curves(path: Path) -> dict[str, Curve]:
    """Read the losses of a metrics.csv without the values that are no finite numbers."""
    curves: dict[str, Curve] = {name: [] for name in _CURVES.values()}
    with (
        contextlib.suppress(OSError, csv.Error),
        open(path, newline="", encoding="utf-8", errors="replace") as file,
    ):
        for row in csv.DictReader(file):
            for column, name in _CURVES.items():
                # The column or the value may be missing.
                with contextlib.suppress(ValueError):
                    step, loss = int(row.get("step") or ""), float(row.get(column) or "")
                    if math.isfinite(loss):
                        curves[name].append((step, loss))
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


def _format_chart(result: Result, curves: dict[str, Curve]) -> str:
    if not curves["val"] or curves["network"] == curves["val"]:
        curves = {"train": curves["train"], "val": curves["network"]}
    best = (result.step, result.loss) if result.step and result.loss is not None else None
    drawing = draw_chart(curves, best)
    if not drawing:
        return ""
    legend = "".join(
        f'<span><i class="{name}"></i>{_LEGEND[name]}</span>' for name in curves if curves[name]
    )
    return f'<h2>Loss</h2>\n<p class="legend">{legend}</p>\n{drawing}'


def _list_facts(result: Result) -> list[str]:
    size, seconds = result.parameters, result.seconds
    speed = f", {result.characters / seconds:,.0f} characters/s" if seconds else ""
    facts = {
        "text": result.text,
        "model": f"{size:,} parameters" if size else "",
        "trained": f"{result.steps:,} steps in {format_duration(seconds)}{speed}",
        "options": " ".join(result.words),
        "sample": f"charrnn sample checkpoint={shlex.quote(str(result.folder))}",
    }
    cells = {name: _escape(fact) for name, fact in facts.items() if fact}
    for name in cells.keys() & {"options", "sample"}:
        cells[name] = f"<code>{cells[name]}</code>"
    return [f"<dt>{name}</dt><dd>{cell}</dd>" for name, cell in cells.items()]


def _format_samples(result: Result, losses: dict[int, float]) -> list[str]:
    """Return the samples with the validation loss of their steps, as HTML."""
    parts = []
    kind = ' class="list"' if result.is_list else ""  # which is shown in columns
    for step, path in _thin_out(_find_samples(result.folder), MAX_SAMPLES):
        loss = f", validation loss {losses[step]:.4f}" if step in losses else ""
        text = path.read_bytes().decode("utf-8", "replace")
        heading = f"<h3>after step {step:,}{loss}</h3>"
        parts.append(f"<article>{heading}<pre{kind}>{_escape(text)}</pre></article>")
    return ["<h2>Samples</h2>", *parts] if parts else []


def _find_samples(folder: Path) -> list[tuple[int, Path]]:
    """Return the samples that the training wrote, as (step, file), in the order of the steps."""
    names = ((_SAMPLE.fullmatch(path.name), path) for path in folder.glob("samples/step-*.txt"))
    return sorted((int(name[1]), path) for name, path in names if name and path.is_file())


def _thin_out(items: Sequence[T], limit: int) -> list[T]:
    """Return at most `limit` items at even distances, with the first and the last."""
    if len(items) <= limit:
        return list(items)
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]


def _escape(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def draw_chart(curves: dict[str, Curve], best: tuple[float, float] | None) -> str:
    """Return curves with axes as HTML; "" if there are no points."""
    curves = {name: _thin_out(curve, MAX_POINTS) for name, curve in curves.items()}
    points = [point for curve in curves.values() for point in curve]
    if len(points) < 2:
        return ""
    right = max(step for step, _ in points)
    losses = [loss for step, loss in points if step >= SKIPPED_SHARE * right]
    low, high = min(losses), max(losses)
    margin = 0.06 * (high - low) or 0.1
    low, high = low - margin, high + margin

    def x(step: float) -> float:
        return step / right

    def y(loss: float) -> float:
        return (high - loss) / (high - low)

    rows, columns = choose_ticks(low, high, 5), choose_ticks(0, right, 4)
    grid = "".join(f"M0,{SIZE * y(loss):.1f}H{SIZE}" for loss in rows)
    paths = [f'<path class="grid" d="{grid}"/>']
    for name, curve in curves.items():
        if curve:
            line = "L".join(f"{SIZE * x(step):.1f},{SIZE * y(loss):.1f}" for step, loss in curve)
            paths.append(f'<path class="{name}" d="M{line}"/>')
    labels = [f'<span class="y" style="top:{100 * y(v):.2f}%">{v:g}</span>' for v in rows]
    labels += [f'<span class="x" style="left:{100 * x(v):.2f}%">{v:,g}</span>' for v in columns]
    if best is not None:
        position = f"left:{100 * x(best[0]):.2f}%;top:{100 * y(best[1]):.2f}%"
        labels.append(f'<span class="best" style="{position}"></span>')
    view = f'viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none"'
    drawing = f'<svg {view} role="img" aria-label="Loss over the steps">{"".join(paths)}</svg>'
    return f'<div class="plot">{drawing}{"".join(labels)}<span class="unit">step</span></div>'


def choose_ticks(low: float, high: float, about: int) -> list[float]:
    """Return about `about` round numbers between two numbers."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]
