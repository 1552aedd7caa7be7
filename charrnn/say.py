"""Lines and progress for the person before it, on standard error."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any


def say(text: str) -> None:
    """One or more lines on standard error. That nobody can read them is no failure."""
    width = width_of(sys.stderr)
    lines = [part for line in text.split("\n") for part in fitted(plain(line), width)]
    with contextlib.suppress(OSError):
        print("\n".join(lines), file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """A text in one line, for a terminal: names may hold line breaks and terminal codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def width_of(stream: Any) -> int | None:
    """The columns of a terminal; None where a stream is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


@contextlib.contextmanager
def said_if_it_takes_long(text: str, seconds: float = 1.0) -> Iterator[None]:
    """Say a line if what is done inside is not over by then."""
    timer = threading.Timer(seconds, say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


BITS_PER_NAT = 1.4426950408889634
# what is to be copied, and is kept in one piece: a command line, in backticks or at the end
_COMMAND = re.compile(
    r"`[^`]+`|(?<=: )(?:charrnn|make) [a-z].*|\S*(?:python -m )?(?:uv )?pip install (?:-e )?'[^']+'"
)


def fitted(line: str, width: int | None) -> list[str]:
    """A line as a terminal shows it: broken between words where it is too wide, and nowhere else.

    A word, a path or a command that is wider than the terminal has a line of its own.
    """
    if width is None or len(line) <= width:
        return [line]
    import textwrap

    kept = _COMMAND.sub(lambda found: found[0].replace(" ", "\0"), line)
    return [
        part.replace("\0", " ")
        for part in textwrap.wrap(
            kept,
            width,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
            drop_whitespace=True,
        )
    ]


class _Lasting(io.FileIO):
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


def lasting(stream: Any) -> Any:
    """A stream in the place of standard output or error to which writing never fails.

    A stream that has no descriptor of its own (a notebook's) is returned as it is.
    """
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.FileIO):
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    made: Any = _Lasting(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        made if raw is buffer else io.BufferedWriter(made),  # as it is with `python -u`, or without
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Let standard output and error be such that what runs inside outlives them."""
    with (
        contextlib.redirect_stdout(lasting(sys.stdout)),
        contextlib.redirect_stderr(lasting(sys.stderr)),
    ):
        try:
            yield
        finally:
            print(end="", flush=True)


def short_numbers(text: str) -> str:
    """A text whose numbers have four digits where they had as many as a search draws."""
    return re.sub(r"\d+\.\d{5,}(e[-+]?\d+)?", lambda number: f"{float(number[0]):.4g}", text)


def duration(seconds: float) -> str:
    """3:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


_SILENT = 2.0  # seconds: what is over by then needs no display
_REPEAT = 5.0  # seconds between two lines where standard error is no terminal


class ProgressDisplay:
    """Call it with (done, all or None).

    A terminal shows tqdm's bar, which goes away in the end; elsewhere a line of megabytes comes
    every five seconds. What takes under two seconds shows nothing. Use it in a ``with`` statement.

    Args:
        stages: what is done; a pass that starts over from less is the next.
    """

    def __init__(self, *stages: str, unit: str = "B", quiet: bool = False) -> None:
        self._stages = list(stages)
        self._unit = unit
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._created = self._began = self._told = time.monotonic()
        self._done = 0

    def __enter__(self) -> ProgressDisplay:
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
                unit=self._unit,
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


def scoring_progress() -> ProgressDisplay:
    """What a loss reports to: a bar on a terminal."""
    return ProgressDisplay("scoring", unit=" characters", quiet=not sys.stderr.isatty())
