"""The sections of the benchmarks, one per file, in the order of the table.

Each file has a function `measure(workplace)`, which returns rows, or a reason why there are none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from benchmarks.report import Row
from benchmarks.workplace import Workplace

SECTIONS = {
    "startup": "Start-up",
    "steps": "Training, with torch-rnn's recipe",
    "two_minutes": "Training, with the recipe two_minutes",
    "writing": "Sampling",
    "serving": "Serving",
    "reading": "Preprocessing",
    "gpu": "On a GPU",
}


def get_section(name: str) -> Callable[[Workplace], list[Row] | str]:
    """Return the function that measures a section."""
    measure: Callable[[Workplace], list[Row] | str] = importlib.import_module(
        f"benchmarks.sections.{name}"
    ).measure
    return measure
