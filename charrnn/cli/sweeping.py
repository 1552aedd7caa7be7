"""Which job of a sweep this is, for a command that writes more than a folder of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple


class Swept(NamedTuple):
    """One job of a sweep: its number, from 0, and the overrides that make it."""

    number: int
    overrides: str


_current: ContextVar[Swept | None] = ContextVar("charrnn_job", default=None)


@contextlib.contextmanager
def job(swept: Swept | None) -> Iterator[None]:
    """Let `current` answer this while a command runs."""
    token = _current.set(swept)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Swept | None:
    """The job that runs now; None outside a sweep."""
    return _current.get()
