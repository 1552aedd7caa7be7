"""How a command ends badly: one line on standard error, and an exit code."""

from __future__ import annotations

import os
import signal
import sys

from charrnn.errors import InputError, Interrupted, OwnCodeError, RunError, with_short_words
from charrnn.say import printable, say


def end(label: str, error: BaseException) -> int:
    """Say why it ended and return the exit code; a traceback only for a fault in code.

    It is charrnn's own, or somebody's whose code it called: then only their part is shown. With
    HYDRA_FULL_ERROR=1, as Hydra's users know it, every error has one.

    Args:
        label: what the line starts with: the program, the command, a sweep's job.
    """
    if isinstance(error, (InputError, RunError, Interrupted)):
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            _print_traceback(error)
        elif isinstance(error, OwnCodeError):
            print(error.lines, end="", file=sys.stderr)
        return _line(label, str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return _line(label, "interrupted", 128 + signal.SIGINT)
    if isinstance(error, BrokenPipeError):
        return _reader_left()
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        return _line(label, f"{name}: {error.strerror}" if name else error.strerror, 1)
    if _lacks_memory(error):
        return _line(label, "there is too little memory", 1)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    from charrnn import own_code

    if own := own_code.blamed(error):
        return end(label, own)
    _print_traceback(error)
    return _line(label, "this is a fault in charrnn; please report it with the lines above", 1)


def _lacks_memory(error: BaseException) -> bool:
    """Memory is lacking for an object, a shared library, or one of torch's tensors."""
    said = str(error).lower()
    reasons = ("failed to map segment", "cannot allocate memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, (ImportError, RuntimeError)) and any(r in said for r in reasons)
    )


def message(error: BaseException) -> str:
    """Why it ended, in a line."""
    if isinstance(error, (InputError, RunError, Interrupted)):
        return printable(str(error))
    from charrnn import own_code

    if own := own_code.blamed(error):
        return printable(str(own))
    return printable(f"{type(error).__name__}: {error}")


def _print_traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(type(error), error, error.__traceback__)


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
    say(with_short_words(f"{label}: {printable(message)}"))
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
