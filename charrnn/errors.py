"""The ways in which a command ends badly, each with its exit code.

Whoever raises one of these writes the whole line that the user reads: it names
the file or the option and says what to do. The front door prints it and leaves.
"""

from __future__ import annotations

import signal
from typing import Any


class InputError(Exception):
    """Something that the user gave cannot be used."""

    exit_code = 2


class RunError(Exception):
    """The command was asked for something possible and could not do it (a full disk, say)."""

    exit_code = 1


class OwnCodeError(RunError):
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


def shown(value: object, limit: int = 300) -> str:
    """A value as an error line quotes it: one that is very long is cut in its middle."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return f"({type(value).__name__} too large to show)"
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}... ({len(text)} characters) ...{text[-limit // 4 :]}"
