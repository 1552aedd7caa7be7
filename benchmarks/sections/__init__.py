"""One file a part of the way; each has `measure(place) -> Part`. In the order of the table."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from benchmarks.results import Part
from benchmarks.workplace import Workplace

SECTIONS = {
    "startup": "Start-up",
    "training": "Training",
    "step": "A step of two_minutes by kind of work",
    "evaluation": "Evaluation",
    "sampling": "Sampling",
    "serving": "Serving",
    "preprocessing": "Preprocessing",
    "gpu": "On a GPU",
}


def section(name: str) -> Callable[[Workplace], Part]:
    """The function that measures a section."""
    measure: Callable[[Workplace], Part] = importlib.import_module(
        f"benchmarks.sections.{name}"
    ).measure
    return measure
