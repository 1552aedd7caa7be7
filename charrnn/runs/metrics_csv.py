"""Read metrics.csv, the metrics of a training run. Unreadable rows are skipped."""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "metrics.csv"
Row = dict[str, float]


def read_rows(folder: Path) -> list[Row]:
    """Return the rows that have a step; each has only its finite numbers."""
    rows: list[Row] = []
    if not (folder / NAME).is_file():
        return rows  # Opening a named pipe would block.
    with (
        contextlib.suppress(OSError, csv.Error),
        open(folder / NAME, newline="", encoding="utf-8", errors="replace") as file,
    ):
        for line in csv.DictReader(file):
            if None in line.values():
                continue  # The row is incomplete, because the run is writing it.
            numbers = ((name, to_number(text)) for name, text in line.items())
            row = {name: n for name, n in numbers if n is not None and math.isfinite(n)}
            if "step" in row:
                rows.append(row)
    return rows


def to_number(value: Any) -> float | None:
    """Return a value as a number, or None if it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def find_best(rows: Sequence[Row]) -> Row | None:
    """Return the row of the lowest validation loss, or None without validation."""
    validated = [row for row in rows if "val/loss" in row]
    return min(validated, key=lambda row: row["val/loss"], default=None)


def get_loss(row: Row) -> float:
    """Return the loss as the model writes; the network's if only this one was measured."""
    return row.get("val/loss_as_written", row["val/loss"])
