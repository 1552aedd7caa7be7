"""Lines for the person before it, on standard error."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator


def say(line: str) -> None:
    """A line on standard error; where nobody reads that any more, a run goes on in silence."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


@contextlib.contextmanager
def progress(characters: int) -> Iterator[Callable[[int, int], None]]:
    """What a loss reports to: a bar on standard error when it takes long."""
    from tqdm import tqdm

    with tqdm(total=characters, unit=" characters", unit_scale=True, delay=2, disable=None) as bar:
        yield lambda done, total: bar.update(done - bar.n)


def short_numbers(text: str) -> str:
    """A text whose numbers have four digits where they had as many as a search draws."""
    return re.sub(r"\d+\.\d{5,}(e[-+]?\d+)?", lambda number: f"{float(number[0]):.4g}", text)


def duration(seconds: float) -> str:
    """3:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
