"""report.html: what became of a run, on one page that needs nothing else.

It is made of the files of the run's folder alone, so that it can be made again at any time.
"""

from __future__ import annotations

import html
import math
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import yaml

from charrnn import metrics_csv
from charrnn.errors import one_line
from charrnn.files import replacing
from charrnn.metrics_csv import Row
from charrnn.runs import folder as folders
from charrnn.runs import run_history
from charrnn.runs.recorded_config import MISSING, found
from charrnn.say import BITS_PER_NAT, duration, say

Points = Sequence[tuple[float, float]]  # (step, loss)

MOST = 400  # points of a curve; where there are more, neighbours are averaged
# what the first steps lose would leave no room for all the others
SKIPPED = 0.02
SIZE = 1000  # of the drawing, which is stretched to its place


def chart(train: Points, val: Points, best: tuple[float, float] | None) -> str:
    """Both curves with their axes; "" if there is nothing to draw."""
    curves = {"train": _thinned(train), "val": _thinned(val)}
    points = [point for curve in curves.values() for point in curve]
    if len(points) < 2:
        return ""
    right = max(step for step, _ in points)
    drawn = [loss for step, loss in points if step >= SKIPPED * right]
    low, high = min(drawn), max(drawn)
    margin = 0.06 * (high - low) or 0.1
    low, high = low - margin, high + margin

    def x(step: float) -> float:
        return step / right

    def y(loss: float) -> float:
        return (high - loss) / (high - low)

    rows, columns = ticks(low, high, 5), ticks(0, right, 4)
    grid = "".join(f"M0,{SIZE * y(loss):.1f}H{SIZE}" for loss in rows)
    paths = [f'<path class="grid" d="{grid}"/>']
    for name, curve in curves.items():
        if curve:
            line = "L".join(f"{SIZE * x(step):.1f},{SIZE * y(loss):.1f}" for step, loss in curve)
            paths.append(f'<path class="{name}" d="M{line}"/>')
    labels = [f'<span class="y" style="top:{100 * y(v):.2f}%">{v:g}</span>' for v in rows]
    labels += [f'<span class="x" style="left:{100 * x(v):.2f}%">{v:,g}</span>' for v in columns]
    if best is not None:
        place = f"left:{100 * x(best[0]):.2f}%;top:{100 * y(best[1]):.2f}%"
        labels.append(f'<span class="best" style="{place}"></span>')
    view = f'viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none"'
    drawing = f'<svg {view} role="img" aria-label="{_described(val, best)}">{"".join(paths)}</svg>'
    return f'<div class="plot">{drawing}{"".join(labels)}<span class="unit">step</span></div>'


def _described(val: Points, best: tuple[float, float] | None) -> str:
    if best is None or not val:
        return "Training loss over the steps"
    return (
        f"Training and validation loss over the steps: validation from {val[0][1]:.3f} "
        f"to {best[1]:.3f} at step {best[0]:,g}"
    )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers between two others, some `about` of them."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _thinned(points: Points) -> list[tuple[float, float]]:
    points = [(step, loss) for step, loss in points if math.isfinite(loss)]
    size = -(-len(points) // MOST)
    groups = [points[start : start + size] for start in range(0, len(points), max(size, 1))]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


NAME = "report.html"
MANY_LINES, SHORT_LINE = 40, 24  # from which on a text is shown as a list in columns
SAMPLES = 6  # the first, the last, and those at even distances between them
_TEMPLATE = Path(__file__).with_name("run_report.html")


def write_report(folder: Path) -> Path:
    """Write report.html into a run's folder, of what the folder holds; returns its path.

    Raises:
        InputError: it is no run's folder.
        RunError: the file cannot be written.
    """
    config = folders.recorded(folder)
    rows = metrics_csv.read(folder)
    values = {
        "title": _escaped(_title(config)),
        "lead": _lead(rows),
        "chart": _chart(rows),
        "card": "\n".join(_card(folder, config, rows)),
        "samples": "\n".join(_samples(folder, rows)),
        "config": _escaped(yaml.safe_dump(config, sort_keys=False, allow_unicode=True)),
    }
    page = Template(_TEMPLATE.read_text("utf-8")).substitute(values)
    path = folder / NAME
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def report(folder: Path) -> Path | None:
    """Write it for a run that has ended, which it must not fail, whatever goes wrong here."""
    if not (folder / folders.RECORDED).is_file() or not (folder / metrics_csv.NAME).is_file():
        return None
    try:
        return write_report(folder)
    except Exception as error:
        say(f"{folder / NAME} cannot be made ({one_line(error)})")
        return None


def _title(config: dict[str, Any]) -> str:
    model = config["model"]
    size = f"{model['num_layers']} x {model['hidden_size']} {model['kind']}"
    return f"{size} on {run_history.text(config)}"


def _lead(rows: list[Row]) -> str:
    steps = f"{_steps(rows):,}"
    if (best := metrics_csv.best(rows)) is None:
        return f"{steps} steps, without validation."
    loss, both = best["val/loss"], best.get("val/loss_with_counts", math.inf)
    counted = f" With the counts of its text it is {both:.4f}." if both < loss else ""
    return (
        f"Best validation loss <b>{loss:.4f}</b> nats a character "
        f"({loss * BITS_PER_NAT:.3f} bits), after step {best['step']:,.0f} of {steps}.{counted}"
    )


def _steps(rows: list[Row]) -> int:
    return int(max((row["step"] for row in rows), default=0))


def _chart(rows: list[Row]) -> str:
    best = metrics_csv.best(rows)
    train, val = (metrics_csv.curve(rows, name) for name in ("train/loss", "val/loss"))
    drawing = chart(train, val, (best["step"], best["val/loss"]) if best else None)
    if not drawing:
        return ""
    legend = ['<span><i class="train"></i>training loss</span>']
    if val:
        legend.append('<span><i class="val"></i>validation loss, its best as a dot</span>')
    return f'<h2>Loss</h2>\n<p class="legend">{"".join(legend)}</p>\n{drawing}'


def _card(folder: Path, config: dict[str, Any], rows: list[Row]) -> list[str]:
    def value(key: str) -> Any:
        there = found(config, key)
        return None if there is MISSING else there

    optimizer = str(value("optimizer._target_")).rpartition(".")[2]
    rate, dropout = value("optimizer.lr"), value("model.dropout")
    trainer = [value(f"trainer.{name}") for name in ("accelerator", "precision")]
    facts = {
        "text": run_history.text(config),
        "model": f"{size:,} parameters" if (size := run_history.parameters(folder, config)) else "",
        "dropout": f"{dropout:g}" if dropout is not None else "",
        "optimizer": f"{optimizer}, learning rate {rate:g}" if rate else optimizer,
        "windows": f"{value('data.batch_size')} streams x {value('data.seq_length')} characters",
        "trained": _trained(folder, config, rows),
        "on": ", ".join(str(part) for part in trainer if part),
        "seed": str(value("seed")),
        "asked for": " ".join(run_history.overrides(folder)),
        "folder": str(folder),
        "sample": f"charrnn sample checkpoint={shlex.quote(str(folder))}",
    }
    typed = ("asked for", "sample")
    shown = {name: _escaped(fact) for name, fact in facts.items() if fact}
    return [
        f"<dt>{name}</dt><dd>{f'<code>{fact}</code>' if name in typed else fact}</dd>"
        for name, fact in shown.items()
    ]


def _trained(folder: Path, config: dict[str, Any], rows: list[Row]) -> str:
    steps = f"{_steps(rows):,} steps"
    speeds = [value for _, value in metrics_csv.curve(rows, "characters_per_second")]
    if not speeds:
        return steps
    _, seconds = run_history.trained(rows, config, run_history.facts(folder))
    told = f"{steps}, {statistics.median(speeds):,.0f} characters/s"
    return f"{told}, {duration(seconds)} without validation" if seconds else told


def _samples(folder: Path, rows: list[Row]) -> list[str]:
    losses = dict(metrics_csv.curve(rows, "val/loss"))
    parts = []
    for step, path in run_history.spread(run_history.sample_files(folder), SAMPLES):
        loss = f", validation loss {losses[step]:.4f}" if step in losses else ""
        text = path.read_bytes().decode("utf-8", "replace")
        kind = ' class="list"' if _is_list(text) else ""
        heading = f"<h3>after step {step:,}{loss}</h3>"
        parts.append(f"<article>{heading}<pre{kind}>{_escaped(text)}</pre></article>")
    return ["<h2>What it wrote</h2>", *parts] if parts else []


def _is_list(text: str) -> bool:
    """Whether nearly all of its lines are short, as of a list of names, and fit beside another."""
    lines = [len(line) for line in text.splitlines()]
    return len(lines) > MANY_LINES and sum(n <= SHORT_LINE for n in lines) > 0.9 * len(lines)


def _escaped(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))
