"""Which job of a sweep this is, and what its folder is called."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

from omegaconf import OmegaConf

from charrnn.say import short_numbers

_LONGEST = 120  # of a folder's name; file systems take 255 bytes


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


def folder_name(number: int, overrides: str) -> str:
    """The folder of a job: its number, which no other has, and what it is called by.

    Args:
        overrides: those that differ between the jobs, as Hydra joins them.
    """
    bare = re.sub(r"[\\'\"\[\]{}]", "", short_numbers(overrides))
    safe = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", bare)
    return "_".join([str(number), *[safe[:_LONGEST]] * bool(safe)])


# for conf/; every process that runs a job imports this module
OmegaConf.register_new_resolver("charrnn.job_folder", folder_name, replace=True)
