"""report.html: what became of a run, on one page that needs nothing else.

It is made of the files of the run's folder alone, so that it can be made again at any time.
"""

from __future__ import annotations

import csv
import html
import math
import re
import shlex
import statistics
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml

from charrnn.errors import InputError
from charrnn.files import replacing
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import ENTRY
from charrnn.runs import folder as folders
from charrnn.runs.chart import Points, chart
from charrnn.runs.merging import MISSING, found
from charrnn.say import duration, say
from charrnn.training.best import BITS_PER_NAT
from charrnn.training.checkpoints import LAST, MODEL

NAME = "report.html"
SAMPLES = 6  # the first, the last, and those at even distances between them
_UNTRAINED = r"bias_hh|running_"
_TEMPLATE = Path(__file__).with_name("report.html")


class Metrics(NamedTuple):
    """The curves of metrics.csv, each as (step, value)."""

    train: Points
    val: Points
    speed: Points

    @property
    def best(self) -> tuple[float, float] | None:
        """Step and loss of the best validation."""
        return min(self.val, key=lambda point: point[1], default=None)

    @property
    def steps(self) -> int:
        return int(max((curve[-1][0] for curve in self if curve), default=0))


def write_report(folder: Path) -> Path:
    """Write report.html into a run's folder, of what the folder holds; returns its path.

    Raises:
        InputError: it is no run's folder.
        RunError: the file cannot be written.
    """
    config = folders.recorded(folder)
    metrics = _metrics(folder / "metrics.csv")
    values = {
        "title": _escaped(_title(config)),
        "lead": _lead(metrics),
        "chart": _chart(metrics),
        "card": "\n".join(_card(folder, config, metrics)),
        "samples": "\n".join(_samples(folder, metrics)),
        "config": _escaped(yaml.safe_dump(config, sort_keys=False, allow_unicode=True)),
    }
    page = Template(_TEMPLATE.read_text("utf-8")).substitute(values)
    path = folder / NAME
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def report(folder: Path) -> None:
    """Write it for a run that has ended, which it must not fail, whatever goes wrong here."""
    if not (folder / folders.RECORDED).is_file() or not (folder / "metrics.csv").is_file():
        return
    try:
        write_report(folder)
    except Exception as error:
        say(f"{folder / NAME} cannot be made ({' '.join(str(error).split())[:200]})")


def _metrics(path: Path) -> Metrics:
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        rows = []
    columns = ("train/loss", "val/loss", "characters_per_second")
    return Metrics(*(_curve(rows, name) for name in columns))


def _curve(rows: list[dict[str, str]], name: str) -> Points:
    points = []
    for row in rows:
        try:
            step, value = float(row["step"]), float(row[name])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(value):
            points.append((step, value))
    return points


def _title(config: dict[str, Any]) -> str:
    model, text = config["model"], _text(config)
    size = f"{model['num_layers']} x {model['hidden_size']} {model['kind']}"
    return f"{size} on {text}" if text else size


def _text(config: dict[str, Any]) -> str:
    for name in ("input_txt", "input_h5", "url", "corpus"):
        value = found(config, f"data.{name}")
        if value is not MISSING and value:
            parts = value if isinstance(value, list) else [value]
            return ", ".join(Path(str(part)).name for part in parts[:3])
    return ""


def _lead(metrics: Metrics) -> str:
    if metrics.best is None:
        return f"{metrics.steps:,} steps, without validation."
    step, loss = metrics.best
    return (
        f"Best validation loss <b>{loss:.4f}</b> nats a character "
        f"({loss * BITS_PER_NAT:.3f} bits), after step {step:,.0f} of {metrics.steps:,}."
    )


def _chart(metrics: Metrics) -> str:
    drawing = chart(metrics.train, metrics.val, metrics.best)
    if not drawing:
        return ""
    legend = ['<span><i class="train"></i>training loss</span>']
    if metrics.val:
        legend.append('<span><i class="val"></i>validation loss, its best as a dot</span>')
    return f'<h2>Loss</h2>\n<p class="legend">{"".join(legend)}</p>\n{drawing}'


def _card(folder: Path, config: dict[str, Any], metrics: Metrics) -> list[str]:
    def value(key: str) -> Any:
        there = found(config, key)
        return None if there is MISSING else there

    optimizer = str(value("optimizer._target_")).rpartition(".")[2]
    rate, dropout = value("optimizer.lr"), value("model.dropout")
    trainer = [value(f"trainer.{name}") for name in ("accelerator", "precision")]
    facts = {
        "text": _text(config),
        **_of_the_model(folder),
        "dropout": f"{dropout:g}" if dropout is not None else "",
        "optimizer": f"{optimizer}, learning rate {rate:g}" if rate else optimizer,
        "windows": f"{value('data.batch_size')} streams x {value('data.seq_length')} characters",
        "trained": _trained(folder, config, metrics),
        "on": ", ".join(str(part) for part in trainer if part),
        "seed": str(value("seed")),
        "asked for": " ".join(_overrides(folder)),
        "folder": str(folder),
        "sample": f"charrnn sample checkpoint={shlex.quote(str(folder))}",
    }
    typed = ("asked for", "sample")
    shown = {name: _escaped(fact) for name, fact in facts.items() if fact}
    return [
        f"<dt>{name}</dt><dd>{f'<code>{fact}</code>' if name in typed else fact}</dd>"
        for name, fact in shown.items()
    ]


def _of_the_model(folder: Path) -> dict[str, str]:
    try:
        trained = model_file.load(folder / MODEL)
    except InputError:
        return {}
    # as torch-rnn counts them
    counted = [w.size for name, w in trained.weights.items() if not re.search(_UNTRAINED, name)]
    size = trained.architecture.vocabulary_size
    return {"model": f"{sum(counted):,} parameters, {size} characters"}


def _trained(folder: Path, config: dict[str, Any], metrics: Metrics) -> str:
    steps = f"{metrics.steps:,} steps"
    if not metrics.speed:
        return steps
    speed = statistics.median(value for _, value in metrics.speed)
    told = f"{steps}, {speed:,.0f} characters/s"
    try:
        batch_size, length = checkpoint.read(folder / "checkpoints" / LAST)[ENTRY]["sizes"]
    except (InputError, KeyError):
        return told
    group = found(config, "trainer.accumulate_grad_batches")
    characters = batch_size * length * (1 if group is MISSING else group)
    before, seconds = 0.0, 0.0
    for step, value in metrics.speed:
        seconds += (step - before) * characters / max(value, 1e-9)
        before = step
    return f"{told}, {duration(seconds)} without validation"


def _overrides(folder: Path) -> list[str]:
    try:
        lines = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_bytes())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [str(line) for line in lines] if isinstance(lines, list) else []


def _samples(folder: Path, metrics: Metrics) -> list[str]:
    paths = sorted(folder.glob("samples/step-*.txt"))
    if not paths:
        return []
    count = min(SAMPLES, len(paths))
    picked = [paths[round(i * (len(paths) - 1) / max(count - 1, 1))] for i in range(count)]
    losses = dict(metrics.val)
    parts = ["<h2>What it wrote</h2>"]
    for path in picked:
        step = int(re.sub(r"\D", "", path.stem) or 0)
        loss = f", validation loss {losses[step]:.4f}" if step in losses else ""
        text = _escaped(path.read_bytes().decode("utf-8", "replace"))
        heading = f"<h3>after step {step:,}{loss}</h3>"
        parts.append(f"<article>{heading}<pre>{text}</pre></article>")
    return parts


def _escaped(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))
