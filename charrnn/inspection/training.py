"""What a run folder tells of a model's training: its curves, and the samples that it wrote."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

from charrnn.say import say

MOST_POINTS = 400  # of a curve
MOST_SAMPLES = 60
LONGEST_SAMPLE = 2000  # characters
LARGEST_TABLE = 1 << 26  # bytes
_SAMPLE = re.compile(r"step-(\d{1,15})\.txt")

Curve = list[tuple[int, float]]  # (step, nats per character)


def run_of(path: Path) -> Path | None:
    """The run folder in which a model lies, if it lies in one.

    Args:
        path: of the model, as `charrnn.models.find_model` gives it.
    """
    for folder in (path.parent, path.parent.parent):
        if (folder / "metrics.csv").is_file():
            return folder
    return None


def training(folder: Path) -> dict[str, Any]:
    """The curves and samples of a run folder; what cannot be read is told and left out."""
    return {"curves": curves(folder / "metrics.csv"), "samples": samples(folder / "samples")}


def curves(table: Path) -> dict[str, Curve]:
    """The losses under train and val of a metrics.csv, thinned to a few hundred points each."""
    found: dict[str, Curve] = {"train": [], "val": []}
    try:
        if table.stat().st_size > LARGEST_TABLE:
            raise ValueError(f"it has more than {LARGEST_TABLE >> 20} MB")
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for name, curve in found.items():
                    if value := row.get(f"{name}/loss"):
                        curve.append((int(row["step"]), float(value)))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        say(f"{table}: cannot be read ({error}); the page is without curves")
        return {"train": [], "val": []}
    return {
        name: _spread([point for point in curve if math.isfinite(point[1])], MOST_POINTS)
        for name, curve in found.items()
    }


def samples(folder: Path) -> list[tuple[int, str]]:
    """The samples that training wrote, as (step, text), spread over its steps."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        if (name := _SAMPLE.fullmatch(path.name)) and path.is_file():
            found.append((int(name[1]), path))
    texts = []
    for step, path in _spread(sorted(found), MOST_SAMPLES):
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                texts.append((step, file.read(LONGEST_SAMPLE)))
        except OSError as error:
            say(f"{path}: cannot be read ({error.strerror}); the page is without it")
    return texts


def _spread(items: list, most: int) -> list:
    """So many of some items at most, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
