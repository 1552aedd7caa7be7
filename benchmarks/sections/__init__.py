"""The sections of the benchmarks, one per file, in the order of the tables.

Each file has a function `measure`, which returns the table of the section, or the reason why there
is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.inputs import Inputs
from benchmarks.sections import gpu, reading, serving, startup, steps, two_minutes, writing


class Section(NamedTuple):
    """A section: its title, and the function that returns its table."""

    title: str
    measure: Callable[[Inputs], str]


SECTIONS = {
    "startup": Section("Start-up", startup.measure),
    "steps": Section("Training, with torch-rnn's recipe", steps.measure),
    "two_minutes": Section("Training, with the recipe two_minutes", two_minutes.measure),
    "writing": Section("Sampling", writing.measure),
    "serving": Section("Serving", serving.measure),
    "reading": Section("Preprocessing", reading.measure),
    "gpu": Section("On a GPU", gpu.measure),
}
