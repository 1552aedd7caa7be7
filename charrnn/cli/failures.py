"""Which jobs of a sweep failed, wherever their launcher runs them.

A job may run in another process or on another machine, where standard error is not the
sweep's. So each that fails leaves its line in a file of the sweep's folder, which goes again
when the sweep ends.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path


def note(path: Path | None, line: str) -> None:
    """Leave a line for the sweep, in the job that failed."""
    if path is not None:
        with contextlib.suppress(OSError), open(path, "a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")


def taken(path: Path) -> list[str]:
    """The lines that the jobs left; the file is removed."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        path.unlink()
    except OSError:
        return []
    return [json.loads(line) for line in lines]
