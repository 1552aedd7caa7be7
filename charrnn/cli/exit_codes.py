"""Print an error as one line on standard error, and return an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback

from charrnn.errors import (
    InputError,
    Interrupted,
    RunError,
    UserCodeError,
    is_out_of_memory,
    shorten,
    walk_causes,
)
from charrnn.say import escape_unprintable, say


def end(label: str, error: BaseException) -> int:
    """Print an error after a label, and return the exit code.

    Print a traceback only for a bug in charrnn or in the user's classes, and there without the
    frames of charrnn. HYDRA_FULL_ERROR=1 prints a traceback for every error.
    """
    if isinstance(error, BrokenPipeError):
        _discard_output()
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    explained = _explain(error)
    if explained is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(type(error), error, error.__traceback__)
    elif isinstance(explained, UserCodeError):
        print(explained.lines, end="", file=sys.stderr)
    if explained is None:
        return _say_error(label, "this is a bug in charrnn; please report it with the lines above")
    return _say_error(label, str(explained), explained.exit_code)


def format_error(error: BaseException) -> str:
    """Return an error as one line."""
    return escape_unprintable(str(_explain(error) or f"{type(error).__name__}: {error}"))


def _explain(error: BaseException) -> InputError | RunError | Interrupted | None:
    """Return the error with its message and exit code; None for a bug in charrnn."""
    if isinstance(error, RunError):
        return error
    # A library that a signal interrupts can raise another error in its clean-up.
    for cause in walk_causes(error):
        if isinstance(cause, KeyboardInterrupt):
            return Interrupted("interrupted")
        if isinstance(cause, Interrupted):
            return cause
    if isinstance(error, InputError):
        return error
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        return RunError(f"{name}: {error.strerror}" if name else error.strerror)
    if is_out_of_memory(error):
        return RunError("there is too little memory")
    from charrnn.runs import library_errors

    return library_errors.explain_user_code(error)


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
