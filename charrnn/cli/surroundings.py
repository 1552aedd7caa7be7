"""Python's state around Hydra: set for it while it runs, restored for the command inside.

``hydra.main`` reads sys.argv, and raises its errors to the caller only where
HYDRA_FULL_ERROR=1 is set; of a job that fails it writes a line of its own. The command that
runs inside sees all of this as it was before.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

FULL_ERROR = "HYDRA_FULL_ERROR"


class _State(NamedTuple):
    argv: list[str]
    stderr: Any
    full_error: str | None


_outside: _State | None = None


def wants_traceback() -> bool:
    """Whether the user asked for tracebacks, as Hydra's users do."""
    state = _outside or _now()
    return state.full_error == "1"


@contextlib.contextmanager
def inside(words: list[str]) -> Iterator[None]:
    """Set sys.argv, standard error and HYDRA_FULL_ERROR for Hydra, with these words."""
    global _outside
    before, outer = _now(), _outside
    _outside = before
    _set(_State([before.argv[0] if before.argv else "", *words], _Plain(before.stderr), "1"))
    try:
        yield
    finally:
        _outside = outer
        _set(before)


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Restore the user's values while the command runs; no change in a launcher's process."""
    if _outside is None:
        yield
        return
    state = _now()
    _set(_outside)
    try:
        yield
    finally:
        _set(state)


def _now() -> _State:
    return _State(sys.argv, sys.stderr, os.environ.get(FULL_ERROR))


def _set(state: _State) -> None:
    sys.argv, sys.stderr = state.argv, state.stderr
    if state.full_error is None:
        os.environ.pop(FULL_ERROR, None)
    else:
        os.environ[FULL_ERROR] = state.full_error


class _Plain:
    """Standard error, without the line that Hydra writes of a failed job; ours says more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if not text.startswith("Error executing job with overrides:"):
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
