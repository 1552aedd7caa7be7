"""What a run folder tells of a model's training: its curves, and the samples that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charrnn.runs import run_history
from charrnn.say import say

MOST_POINTS = 400  # of a curve
MOST_SAMPLES = 60
LONGEST_SAMPLE = 2000  # characters


def run_of(path: Path) -> Path | None:
    """The run folder in which a model lies, if it lies in one.

    Args:
        path: of the model, as `charrnn.models.find_model` gives it.
    """
    for folder in (path.parent, path.parent.parent):
        if (folder / run_history.METRICS).is_file():
            return folder
    return None


def training(folder: Path) -> dict[str, Any]:
    """The curves and samples of a run folder; what cannot be read is left out."""
    rows = run_history.metrics(folder)
    curves = {name: run_history.curve(rows, f"{name}/loss") for name in ("train", "val")}
    return {
        "curves": {name: run_history.spread(curve, MOST_POINTS) for name, curve in curves.items()},
        "samples": samples(folder),
    }


def samples(folder: Path) -> list[tuple[int, str]]:
    """The samples that training wrote, as (step, text), spread over its steps."""
    texts = []
    for step, path in run_history.spread(run_history.sample_files(folder), MOST_SAMPLES):
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                texts.append((step, file.read(LONGEST_SAMPLE)))
        except OSError as error:
            say(f"{path}: cannot be read ({error.strerror}); the page is without it")
    return texts
