"""How a command ends badly: one line on standard error, and an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback

from charrnn.errors import InputError, Interrupted, RunError, UserCodeError, shorten
from charrnn.say import escape_unprintable, say


def end(label: str, error: BaseException) -> int:
    """Say why it ended and return the exit code; a traceback only for a fault in code.

    It is charrnn's own, or somebody's whose code it called: then only their part is shown. With
    HYDRA_FULL_ERROR=1, as Hydra's users know it, every error has one.

    Args:
        label: what the line starts with: the program, the command, a sweep's job.
    """
    if isinstance(error, BrokenPipeError):
        return _reader_left()
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    known = _known(error)
    if known is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(type(error), error, error.__traceback__)
    elif isinstance(known, UserCodeError):
        print(known.lines, end="", file=sys.stderr)
    if known is None:
        fault = "this is a fault in charrnn; please report it with the lines above"
        return _line(label, fault, 1)
    return _line(label, str(known), known.exit_code)


def message(error: BaseException) -> str:
    """Why it ended, in a line."""
    return escape_unprintable(str(_known(error) or f"{type(error).__name__}: {error}"))


def _known(error: BaseException) -> InputError | RunError | Interrupted | None:
    """An error with its line and its exit code; None for a fault in charrnn."""
    if isinstance(error, (InputError, RunError, Interrupted)):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        return RunError(f"{name}: {error.strerror}" if name else error.strerror)
    if _lacks_memory(error):
        return RunError("there is too little memory")
    from charrnn.runs import library_errors

    return library_errors.explain_user_code(error)


def _lacks_memory(error: BaseException) -> bool:
    """Memory is lacking for an object, a shared library, or one of torch's tensors."""
    said = str(error).lower()
    reasons = ("failed to map segment", "cannot allocate memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, (ImportError, RuntimeError)) and any(r in said for r in reasons)
    )


def flush(label: str, code: int) -> int:
    """Write out what is left for standard output; the exit code is `code`, or 1 if that fails."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_left()
    except OSError as error:
        _discard_output()
        if code == 0:
            return _line(label, f"standard output: {error.strerror}", 1)
    return code


def _line(label: str, message: str, code: int) -> int:
    line = f"{label}: {escape_unprintable(message)}"
    say(re.sub(r"\S{1001,}", lambda word: shorten(word[0]), line))  # a very long word is cut
    return code


def _reader_left() -> int:
    """Whoever reads our output has had enough (``| head``): no failure, and nothing to say."""
    _discard_output()
    return 0


def _discard_output() -> None:
    # the interpreter flushes once more as it exits, and would complain then
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
