"""Lines and progress for the person before it, on standard error."""

from __future__ import annotations

import contextlib
import io
import math
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

BITS_PER_NAT = 1 / math.log(2)


def say(text: str) -> None:
    """One or more lines on standard error. That nobody can read them is no failure."""
    lines = "\n".join(map(escape_unprintable, text.split("\n")))
    with contextlib.suppress(OSError):
        tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
        if tqdm is not None and sys.stderr.isatty():
            tqdm.write(lines, file=sys.stderr)  # above a bar, where there is one
        else:
            print(lines, file=sys.stderr, flush=True)


def escape_unprintable(text: str) -> str:
    """A text in one line, for a terminal: names may hold line breaks and terminal codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def get_terminal_width(stream: Any) -> int | None:
    """The columns of a terminal; None where a stream is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def shorten_numbers(text: str) -> str:
    """A text whose numbers have four digits where they had as many as a search draws."""
    return re.sub(r"\d+\.\d{5,}(e[-+]?\d+)?", lambda number: f"{float(number[0]):.4g}", text)


def format_duration(seconds: float) -> str:
    """3:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class ProgressDisplay:
    """tqdm's bar on a terminal, for what takes over two seconds; elsewhere nothing.

    Call it with (done, all or None), in a ``with`` statement.

    Args:
        what: is done.
    """

    def __init__(self, what: str, unit: str = "B", quiet: bool = False) -> None:
        self._what = what
        self._unit = unit
        self._is_shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        if not self._is_shown:
            return
        if self._bar is None:
            from tqdm import tqdm

            description = {"desc": self._what, "unit": self._unit, "unit_scale": True}
            self._bar = tqdm(total=total, leave=False, delay=2, **description)
        self._bar.total = total
        self._bar.update(done - self._bar.n)


class FaultTolerantFile(io.FileIO):
    """A descriptor for which no write fails: what it cannot take is dropped.

    So a terminal that is closed, a reader that has left or a full disk under a log ends nothing
    that has more to do than to be read, whoever writes: tqdm, a warning, a callback's print.
    """

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[super().write(rest) or size :]
        return size


def ignore_write_errors(stream: Any) -> Any:
    """The same stream, to which writing never fails.

    One that has no descriptor of its own (a notebook's) is returned as it is.
    """
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.FileIO):
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    file: Any = FaultTolerantFile(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        file if raw is buffer else io.BufferedWriter(file),  # as with `python -u`, or without
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextlib.contextmanager
def ignore_output_errors() -> Iterator[None]:
    """Let standard output and error be such that what runs inside outlives them."""
    with (
        contextlib.redirect_stdout(ignore_write_errors(sys.stdout)),
        contextlib.redirect_stderr(ignore_write_errors(sys.stderr)),
    ):
        try:
            yield
        finally:
            print(end="", flush=True)
