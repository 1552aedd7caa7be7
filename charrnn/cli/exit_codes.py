"""Print an error as one line on standard error, and return an exit code."""

from __future__ import annotations

import os
import sys
import traceback

from charrnn.errors import InputError, explain
from charrnn.runs import ranks
from charrnn.say import say


def end(label: str, error: BaseException) -> int:
    """Print an error after a label, and return the exit code.

    Print a traceback only for a bug, in charrnn or in code of the user.
    """
    if isinstance(error, BrokenPipeError):
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
        traceback.print_exception(error)
        hint = "please report charrnn's with the lines above"
        return _say_error(label, f"this is a bug in charrnn, or in code of yours; {hint}")
    return _say_error(label, str(explained), explained.exit_code)


def flush(label: str, code: int) -> int:
    """Flush standard output, and return the exit code.

    It is `code`, or 1 if `code` is 0 and the output cannot be written. A closed pipe (``| head``)
    is no failure.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # Python flushes the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == 0 and not isinstance(error, BrokenPipeError):
            return _say_error(label, f"standard output: {error.strerror}")
    return code


def _say_error(label: str, message: str, code: int = 1) -> int:
    say(f"{label}: {message}")
    return code
