"""How far a long pass over bytes has come, on standard error."""

from __future__ import annotations

import sys
import time

_SILENT = 2.0  # seconds: what is over by then needs no display
_REDRAW = 0.2  # seconds between two states of the one line on a terminal
_REPEAT = 5.0  # seconds between two lines elsewhere


class ByteProgress:
    """Call it with (bytes done, bytes in all or None); leaving it as a context clears it.

    A pass that starts over from fewer bytes is the next of `stages`.
    """

    def __init__(self, quiet: bool, stages: tuple[str, ...]) -> None:
        self._quiet = quiet
        self._stages = stages
        self._stage = 0
        self._terminal = sys.stderr.isatty()
        self._created = self._began = time.monotonic()
        self._drawn: float | None = None
        self._done = 0

    def __enter__(self) -> ByteProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._drawn is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done < self._done:
            self._stage = min(self._stage + 1, len(self._stages) - 1)
            self._began = now
        self._done = done
        wait = _REDRAW if self._terminal else _REPEAT
        last = self._created + _SILENT - wait if self._drawn is None else self._drawn
        if self._quiet or now - last < wait:
            return
        self._drawn = now
        line = self._line(done, total, now - self._began)
        sys.stderr.write(f"\r{line}\x1b[K" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def _line(self, done: int, total: int | None, seconds: float) -> str:
        rate = done / max(seconds, 1e-9)
        line = f"{self._stages[self._stage]}: {done / 1e6:,.0f} MB"
        if total is not None:
            line += f" of {total / 1e6:,.0f} MB"
        line += f", {rate / 1e6:.1f} MB/s"
        if total is not None and rate > 0:
            line += f", {max(total - done, 0) / rate:.0f} s left"
        return line


def byte_progress(quiet: bool) -> ByteProgress:
    """A display for `preprocess`: bytes done and bytes per second.

    On a terminal one line that is redrawn, elsewhere a line every five seconds; nothing
    at all for what takes under two seconds, or when `quiet`.
    """
    return ByteProgress(quiet, ("reading the text", "writing the ids"))
