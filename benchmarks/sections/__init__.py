"""One file a part of the way, in the order of the table.

Each has `measure(place)`, which gives rows, or says why there are none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from benchmarks.report import Row
from benchmarks.workplace import Workplace

SECTIONS = {
    "startup": "Start-up",
    "training": "Training, with torch-rnn's recipe",
    "two_minutes": "Training, with the recipe two_minutes",
    "sampling": "Sampling",
    "serving": "Serving",
    "preprocessing": "Preprocessing",
    "gpu": "On a GPU",
}


def section(name: str) -> Callable[[Workplace], list[Row] | str]:
    """The function that measures a section."""
    measure: Callable[[Workplace], list[Row] | str] = importlib.import_module(
        f"benchmarks.sections.{name}"
    ).measure
    return measure
