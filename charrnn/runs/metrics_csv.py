"""metrics.csv in a run's folder, read: the numbers of its training.

The file may be of a run that is being trained, that was killed, or that another program made:
what cannot be read is left out.
"""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "metrics.csv"
Row = dict[str, float]
Curve = list[tuple[int, float]]  # (step, value)


def read(folder: Path) -> list[Row]:
    """The rows that have a step, each with the numbers that stand in it."""
    rows: list[Row] = []
    if not (folder / NAME).is_file():
        return rows  # a pipe would be waited for
    with (
        contextlib.suppress(OSError, csv.Error),
        open(folder / NAME, newline="", encoding="utf-8", errors="replace") as file,
    ):
        for line in csv.DictReader(file):
            # a row that is being written may lack its end
            if None in line.values():
                continue
            numbers = ((name, number(text)) for name, text in line.items())
            row = {name: n for name, n in numbers if n is not None and math.isfinite(n)}
            if "step" in row:
                rows.append(row)
    return rows


def number(value: Any) -> float | None:
    """The number that a value is or says; None for another."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def curve(rows: Sequence[Row], name: str) -> Curve:
    """A column of the metrics over the steps that have it."""
    return [(int(row["step"]), row[name]) for row in rows if name in row]


def loss_as_written(row: Row) -> float:
    """The loss of a validation's model as it writes: with counts of its text, where they help."""
    return min(row["val/loss"], row.get("val/loss_with_counts", math.inf))


def best(rows: Sequence[Row]) -> Row | None:
    """The row of the lowest validation loss; None without validation."""
    validated = [row for row in rows if "val/loss" in row]
    return min(validated, key=lambda row: row["val/loss"], default=None)
