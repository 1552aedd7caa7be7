"""Importing what is large, without a search for garbage in it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Whether the process is the program charrnn's. In that of somebody's script what there is besides
# may become garbage, which could never be collected again.
freezes = False


@contextmanager
def first_import(name: str) -> Iterator[None]:
    """Let Python collect no garbage in the block, if the package is not imported yet.

    Importing torch and Lightning makes a million objects that stay. To look through them again and
    again takes a fifth of that time; where the process is our own, later collections leave them
    out, too.
    """
    if name in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if freezes:
            gc.freeze()
        gc.enable()
