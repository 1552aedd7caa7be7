"""When Python's garbage collector begins."""

from __future__ import annotations

import gc


def collect_garbage_again() -> None:
    """Where `charrnn.__main__` has put that off, from here on, but not in what is imported."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
