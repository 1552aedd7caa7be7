"""How far a long pass over bytes has come, on standard error."""

from __future__ import annotations

import sys
import time
from typing import Any

from charrnn.say import say

_SILENT = 2.0  # seconds: what is over by then needs no display
_REPEAT = 5.0  # seconds between two lines where standard error is no terminal


class ByteProgress:
    """Call it with (bytes done, bytes in all or None).

    A terminal shows tqdm's bar, which goes away in the end; elsewhere a line comes every five
    seconds. What takes under two seconds shows nothing. Use it in a ``with`` statement.
    """

    def __init__(self, *stages: str, quiet: bool = False) -> None:
        """`stages` names what is done; a pass that starts over from fewer bytes is the next."""
        self._stages = list(stages)
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._created = self._began = self._told = time.monotonic()
        self._done = 0

    def __enter__(self) -> ByteProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        if self._quiet:
            return
        now = time.monotonic()
        if done < self._done:
            self._next_stage(now)
        self._done = done
        if self._terminal:
            self._draw(done, total, now)
        elif now - self._created >= _SILENT and (
            self._told == self._created or now - self._told >= _REPEAT
        ):
            self._told = now
            say(self._line(done, total, now - self._began))

    def _next_stage(self, now: float) -> None:
        self._began = now
        if len(self._stages) > 1:
            del self._stages[0]
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, done: int, total: int | None, now: float) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                desc=self._stages[0],
                total=total,
                unit="B",
                unit_scale=True,
                leave=False,
                delay=max(_SILENT - (now - self._created), 0),
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def _line(self, done: int, total: int | None, seconds: float) -> str:
        rate = done / max(seconds, 1e-9)
        line = f"{self._stages[0]}: {done / 1e6:,.0f} MB"
        if total is not None:
            line += f" of {total / 1e6:,.0f} MB"
        line += f", {rate / 1e6:.1f} MB/s"
        if total is not None and rate > 0:
            line += f", {max(total - done, 0) / rate:.0f} s left"
        return line


def preprocessing_progress(quiet: bool) -> ByteProgress:
    """For `preprocess`: its pass over the text, then that over the ids."""
    return ByteProgress("reading the text", "writing the ids", quiet=quiet)
