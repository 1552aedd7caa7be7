"""What a callable can be given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def parameters_of(make: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """The names that a callable, or what a partial calls, takes; and those that are given."""
    given: set[str] = set()
    while isinstance(make, functools.partial):
        given |= set(make.keywords)
        make = make.func
    return set(inspect.signature(make).parameters), given
