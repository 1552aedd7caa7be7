"""The page of `charrnn inspect`: what was seen of a model, and of the run that made it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn import metrics_csv
from charrnn.extras.page.packing import Chosen, card, packed
from charrnn.extras.page.single_file import joined, replaced, single_file, style_of
from charrnn.runs import run_history
from charrnn.say import say
from charrnn.training_text import corpus_name

SITE = Path(__file__).parent / "site"
MOST_POINTS = 400  # of a curve
MOST_SAMPLES = 60
LONGEST_SAMPLE = 2000  # characters


def page(chosen: Chosen, seen: Mapping[str, Any]) -> str:
    """The page of a model as HTML.

    Args:
        seen: what `report` says of the model, and what `training` does.
    """
    title = f"Inside {corpus_name(chosen.model) or 'a model'}"
    template = (SITE / "index.html").read_text(encoding="utf-8")
    for tag in ("title", "h1"):
        template = replaced(template, f"<{tag}></{tag}>", f"<{tag}>{html.escape(title)}</{tag}>")
    report = {**seen, "card": card(chosen)}
    return single_file(
        template,
        style=style_of(SITE),
        script=joined(SITE / "main.js"),
        data={
            "packed-model": packed(chosen.model, chosen.precision),
            "report": json.dumps(report, separators=(",", ":")),
        },
    )


def training(model: Path) -> dict[str, Any]:
    """The curves and samples of the run in whose folder a model lies, if it lies in one.

    What cannot be read is left out.
    """
    folders = (model.parent, model.parent.parent)
    folder = next((each for each in folders if (each / metrics_csv.NAME).is_file()), None)
    if folder is None:
        return {"curves": {}, "samples": []}
    rows = metrics_csv.read(folder)
    curves = {name: metrics_csv.curve(rows, f"{name}/loss") for name in ("train", "val")}
    samples = []
    for step, path in run_history.spread(run_history.sample_files(folder), MOST_SAMPLES):
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                samples.append((step, file.read(LONGEST_SAMPLE)))
        except OSError as error:
            say(f"{path}: cannot be read ({error.strerror}); the page is without it")
    return {
        "curves": {name: run_history.spread(curve, MOST_POINTS) for name, curve in curves.items()},
        "samples": samples,
    }
