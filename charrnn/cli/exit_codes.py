"""Print an error as one line on standard error, and return an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback

from charrnn.errors import InputError, shorten
from charrnn.explanations import explain
from charrnn.runs import ranks
from charrnn.say import escape_unprintable, say


def end(label: str, error: BaseException) -> int:
    """Print an error after a label, and return the exit code.

    Print a traceback only for a bug, in charrnn or in code of the user.
    """
    if isinstance(error, BrokenPipeError):
        _discard_output()
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        return _say_error(label, str(error.code))  # Python would print this text too.
    explained = explain(error)
    if ranks.is_told(error):
        return explained.exit_code if explained is not None else 1
    if (rank := ranks.detect_world().rank) and not isinstance(explained, InputError):
        label = f"{label}: rank {rank}"  # All ranks refuse the same input.
    if explained is None:
        traceback.print_exception(type(error), error, error.__traceback__)
        hint = "please report charrnn's with the lines above"
        return _say_error(label, f"this is a bug in charrnn, or in code of yours; {hint}")
    return _say_error(label, str(explained), explained.exit_code)


def format_error(error: BaseException) -> str:
    """Return an error as one line."""
    return escape_unprintable(str(explain(error) or f"{type(error).__name__}: {error}"))


def flush(label: str, code: int) -> int:
    """Flush standard output, and return the exit code.

    It is `code`, or 1 if `code` is 0 and the output cannot be written. A closed pipe (``| head``)
    is no failure.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        _discard_output()
        if code == 0:
            return _say_error(label, f"standard output: {error.strerror}")
    return code


def _say_error(label: str, message: str, code: int = 1) -> int:
    line = f"{label}: {escape_unprintable(message)}"
    say(re.sub(r"\S{1001,}", lambda word: shorten(word[0]), line))
    return code


def _discard_output() -> None:
    """Send the rest of standard output, which Python flushes at exit, to /dev/null."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
