"""Messages and progress bars on standard error, and the numbers in them."""

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


def say(*texts: str) -> None:
    """Print lines on standard error. Escape line breaks inside them; ignore a closed terminal."""
    lines = "\n".join(map(escape_unprintable, texts))
    with contextlib.suppress(OSError):
        tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
        if tqdm is not None and sys.stderr.isatty():
            tqdm.write(lines, file=sys.stderr)  # above the progress bar, if there is one
        else:
            print(lines, file=sys.stderr, flush=True)


def escape_unprintable(text: str) -> str:
    """Escape the line breaks and terminal codes of a text, which names of files may contain."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def get_terminal_width(stream: Any) -> int | None:
    """Return the number of columns of a terminal; None if the stream is not a terminal."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def shorten_numbers(text: str) -> str:
    """Round the numbers in a text that have five or more decimals to four significant digits."""
    return re.sub(r"\d+\.\d{5,}(e[-+]?\d+)?", lambda number: f"{float(number[0]):.4g}", text)


def format_duration(seconds: float) -> str:
    """Format a number of seconds as 3:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class ProgressDisplay(contextlib.AbstractContextManager["ProgressDisplay"]):
    """A tqdm bar for a task that takes over two seconds. It is shown on terminals only.

    Use it in a ``with`` statement, and call it with (done, total); total may be None.
    """

    def __init__(self, label: str, unit: str = "B", quiet: bool = False) -> None:
        self._label = label
        self._unit = unit
        self._is_shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        if not self._is_shown:
            return
        if self._bar is None:
            from tqdm import tqdm

            description = {"desc": self._label, "unit": self._unit, "unit_scale": True}
            self._bar = tqdm(total=total, leave=False, delay=2, **description)
        self._bar.total = total
        self._bar.update(done - self._bar.n)


class FaultTolerantFile(io.FileIO):
    """A file descriptor that drops the output that cannot be written.

    A closed terminal, a closed pipe or a full disk then does not end a training, even if tqdm, a
    warning or a callback's print writes the output.
    """

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[super().write(rest) or size :]
        return size


def ignore_write_errors(stream: Any) -> Any:
    """Return a stream with the same descriptor that ignores write errors.

    A stream without a descriptor, such as a notebook's, is returned unchanged.
    """
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.FileIO):
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    file: Any = FaultTolerantFile(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        file if raw is buffer else io.BufferedWriter(file),  # unbuffered under `python -u`
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextlib.contextmanager
def ignore_output_errors() -> Iterator[None]:
    """Ignore write errors on standard output and standard error during the `with` block."""
    with (
        contextlib.redirect_stdout(ignore_write_errors(sys.stdout)),
        contextlib.redirect_stderr(ignore_write_errors(sys.stderr)),
    ):
        try:
            yield
        finally:
            print(end="", flush=True)  # before the old stream, which raises errors, is back
