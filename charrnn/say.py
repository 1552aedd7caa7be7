"""Messages on standard error, and the numbers in them."""

from __future__ import annotations

import contextlib
import math
import sys
from typing import Any

BITS_PER_NAT = 1 / math.log(2)


def say(*texts: str) -> None:
    """Print lines on standard error. Escape line breaks inside them."""
    lines = "\n".join(map(escape_unprintable, texts))
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is not None and sys.stderr.isatty():
        tqdm.write(lines, file=sys.stderr)  # above the progress bar, if there is one
    else:
        print(lines, file=sys.stderr, flush=True)


def escape_unprintable(text: str) -> str:
    """Escape the line breaks and terminal codes of a text, which names of files may contain."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def format_duration(seconds: float) -> str:
    """Format a number of seconds as 3:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class FaultTolerantStream:
    """A text stream that drops the output that cannot be written.

    A closed terminal, a closed pipe or a full disk then does not end a training, even if tqdm, a
    warning or a callback's print writes the output.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
