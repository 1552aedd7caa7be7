"""The ways in which a command ends badly, each with its exit code.

Whoever raises one of these writes the whole line that the user reads: it names
the file or the option and says what to do. The front door prints it and leaves.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any


class InputError(Exception):
    """Something that the user gave cannot be used."""

    exit_code = 2


class RunError(Exception):
    """The command was asked for something possible and could not do it (a full disk, say)."""

    exit_code = 1


def make_non_finite_error() -> RunError:
    """What a choice among logits that are infinite or no numbers, or their loss, ends with."""
    return RunError("the model's scores are not numbers: its weights are too large to compute with")


class UserCodeError(RunError):
    """Code that is not charrnn's failed: somebody's own callback, loss, optimizer or plugin.

    Attributes:
        lines: the part of the traceback that is in that code.
    """

    def __init__(self, message: str, lines: str) -> None:
        super().__init__(message)
        self.lines = lines

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.lines)


class Interrupted(BaseException):
    """A signal ended the command after its work was brought into safety.

    Raised from a signal handler, it may pass through anyone's code: as no Exception it is
    not taken for a damaged file, a missing package or the like on its way.
    """

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signum = int(signum)
        self.exit_code = 128 + signum

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.signum)


# Signals that ask a command to stop, and the one whose exit code it then has. Clusters and their
# launchers send SIGUSR1 or SIGUSR2 before SIGTERM; SIGHUP says that the terminal is gone, which a
# command may outlive with nohup only.
STOP_SIGNALS = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
    signal.SIGUSR1: signal.SIGTERM,
    signal.SIGUSR2: signal.SIGTERM,
}


def terminate(signum: int, frame: FrameType | None) -> None:
    """Handle a stopping signal that nothing else handles: let `with` blocks clean up.

    Raises:
        Interrupted: unless one is on its way already, which may be in the midst of a clean-up.
    """
    if not isinstance(sys.exc_info()[1], Interrupted):
        raise Interrupted("terminated", STOP_SIGNALS[signal.Signals(signum)])


@contextlib.contextmanager
def require_extra(what: str, extra: str) -> Iterator[None]:
    """Raise InputError where a package of an extra, which is imported inside, is not there.

    Args:
        what: what needs it, as the line begins.
    """
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what} ({error}); {format_install_command(extra)}") from None


def format_install_command(extra: str) -> str:
    """The command that adds what an extra needs to the Python that runs.

    It names the packages, never charrnn's own distribution: an index may have another of that name.
    """
    import shlex
    from importlib import metadata

    from charrnn import DISTRIBUTION

    try:
        needed = [line.partition(";") for line in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:  # run from a checkout
        needed = []
    marker = re.compile(rf"""extra == ['"]{extra}['"]""")
    names = [name.strip() for name, _, when in needed if marker.search(when)]
    below = os.path.relpath(sys.executable)
    python = sys.executable if below.startswith("..") else below
    return shlex.join([python, "-m", "pip", "install", *(names or [f".[{extra}]"])])


def find_closest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Of some names the one that a misspelt one is nearest to, if one is near by `cutoff`."""
    import difflib  # only where something is wrong

    return next(iter(difflib.get_close_matches(name[:200], list(names), 1, cutoff)), None)


def suggest_name(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """The end of a line about a name that is not there."""
    near = find_closest(name, names)
    return otherwise if near is None else f"; did you mean {near}?"


def shorten(value: object, limit: int = 300) -> str:
    """A value as an error line quotes it: one that is very long is cut in its middle."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return f"({type(value).__name__} too large to show)"
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}... ({len(text)} characters) ...{text[-limit // 4 :]}"


def to_one_line(what: object, limit: int = 200, with_type: bool = False) -> str:
    """What an error says, in one line that `short` cuts where it is longer than `limit`.

    Args:
        with_type: whether the name of the error's type stands before it; it stands alone where the
            error says nothing.
    """
    text, name = " ".join(shorten(what, 100_000).split()), type(what).__name__
    if with_type or not text:
        text = f"{name}: {text}" if text else name
    return shorten(text, limit)


def format_reason(error: BaseException) -> str:
    """What an error of the system or a library says, in one line that is not long."""
    return to_one_line(getattr(error, "strerror", None) or error)
