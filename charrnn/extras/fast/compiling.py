"""Compile the functions of this folder.

numba's cache knows only the name and the file of the function that is called from Python. So its
name gets a hash of all files of the folder, and a change in any of them compiles it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.extending import register_jitable

F = np.float32
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
compile_apart = register_jitable
# Inlined calls do not count the references to each array argument.
inline = register_jitable(forceinline=True)
# of the files of this folder
_SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()


def keep_compiled(function: Callable[..., Any]) -> Any:
    """Compile a function and its callees, and store the machine code if possible."""
    function.__qualname__ += f"_{_SOURCES[:16]}"
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # "no locator available": no cache folder is writable
        return numba.njit(**_OPTIONS)(function)


def call(function: Callable[..., bool], *arguments: object) -> bool:
    """Return a compiled function's value, whether or not its machine code can be kept."""
    try:
        return function(*arguments)
    except OSError:  # The cache could not be written, but the machine code is in memory now.
        return function(*arguments)
