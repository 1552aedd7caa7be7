"""The status line printed before each job of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from charrnn.runs import records
from charrnn.say import duration, short_numbers


class Place(NamedTuple):
    """A job's place in its sweep.

    Attributes:
        number: from 0.
        jobs: how many there are; None where only the sweeper knows.
        options: those that differ between the jobs.
    """

    number: int
    jobs: int | None
    options: str


def progress(sweep: Path, place: Place, seconds: float | None) -> str:
    """Which job begins, the best loss of those before it, and how long the sweep may take.

    Args:
        sweep: the folder of the sweep.
        seconds: that a job took so far, on average; None for the first.
    """
    number, jobs, options = place
    parts = [f"sweep: job {number}" + (f", {number + 1} of {jobs}" if jobs else "")]
    parts[0] += f" ({short_numbers(options.replace(',', ' '))})" if options else ""
    if found := _best(sweep):
        parts.append(f"best so far {found[0]:.4f} ({found[1]})")
    if jobs and seconds is not None:
        parts.append(f"about {duration(seconds * (jobs - number))} left")
    return "; ".join(parts)


def _best(sweep: Path) -> tuple[float, str] | None:
    """The lowest validation loss of the runs so far, and the job that has it."""
    found = []
    for path in sweep.glob(f"*/{records.METRICS}"):
        if (row := records.best(records.metrics(path.parent))) is not None:
            found.append((row["val/loss"], f"job {path.parent.name.partition('_')[0]}"))
    return min(found, default=None)
