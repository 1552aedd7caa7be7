"""The errors that end a command, each with its exit code, and those for exceptions of libraries.

The message of an error is the complete line that the user reads. It names the file or the option
and says what to do. `charrnn.__main__` prints it and exits, and `charrnn.train` raises it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType


class InputError(Exception):
    """An input of the user (an option or a file) that cannot be used."""

    exit_code = 2


class RunError(Exception):
    """A failure in spite of valid input, such as a full disk."""

    exit_code = 1


class Interrupted(BaseException):
    """A stop by a signal, after all work was saved.

    A signal handler raises it anywhere in the code. It is not a subclass of Exception, so that no
    ``except Exception`` mistakes it for a damaged file or a missing package.
    """

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signum = int(signum)
        self.exit_code = 128 + signum


# Signals that ask a command to stop, and the signal that determines the exit code. Clusters and
# their launchers send SIGUSR1 or SIGUSR2 before SIGTERM. SIGHUP means that the terminal was closed;
# only nohup lets a command survive it.
STOP_SIGNALS = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
    signal.SIGUSR1: signal.SIGTERM,
    signal.SIGUSR2: signal.SIGTERM,
}


def terminate(signum: int, frame: FrameType | None) -> None:
    """Raise Interrupted, so that `with` blocks clean up, unless they already do."""
    if not isinstance(sys.exc_info()[1], Interrupted):
        number = STOP_SIGNALS[signal.Signals(signum)]
        raise Interrupted("interrupted" if number == signal.SIGINT else "terminated", number)


def walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, the error that it was raised from or during, and so on, each once."""
    walked: list[BaseException] = []  # An error that is raised again may be a cause of itself.
    while error is not None and error not in walked:
        walked.append(error)
        yield error
        error = error.__cause__ or error.__context__


def explain(error: BaseException) -> InputError | RunError | Interrupted | None:
    """Return the error of charrnn for an exception, or for its cause; None for a bug."""
    if isinstance(error, RunError):
        return error
    for cause in walk_causes(error):
        if isinstance(cause, KeyboardInterrupt):
            return Interrupted("interrupted")
        if isinstance(cause, Interrupted):
            return cause
    if isinstance(error, InputError):
        return error
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        if error.errno in _MENDED_BY_USER:
            return make_write_error(name, error) if name else InputError(error.strerror)
        return RunError(f"{name}: {error.strerror}" if name else error.strerror)
    if is_out_of_memory(error):
        return RunError("there is too little memory")
    if not _is_refusal(error):
        return None
    option = getattr(error, "full_key", None)  # of OmegaConf's errors
    return InputError(f"{option}: " * bool(option) + to_one_line(error, 500))


# The types of exceptions by which libraries refuse what a user has given, by their names, because
# it takes seconds to import Lightning.
_REFUSALS = {
    "hydra.errors.HydraException",
    "lightning.fabric.utilities.exceptions.MisconfigurationException",
    "omegaconf.errors.OmegaConfBaseException",
    "wandb.errors.errors.UsageError",  # such as a missing key
    "yaml.error.YAMLError",
}


def _is_refusal(error: BaseException) -> bool:
    """Return whether a library refuses an input, such as a monitor that is not logged."""
    if {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__} & _REFUSALS:
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    raised_in = str(frames[-1].f_globals.get("__name__")) if frames else ""
    is_kind = isinstance(error, RuntimeError | ValueError)
    return is_kind and raised_in.startswith(("antlr4.", "hydra.", "lightning."))


_MENDED_BY_USER = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)


def make_write_error(path: object, error: OSError) -> InputError | RunError:
    """Return the error for a file or folder that cannot be written.

    It is an InputError if another name would help.
    """
    text = f"{shorten(path)}: cannot be written ({format_reason(error)})"
    if error.errno in _MENDED_BY_USER:
        return InputError(f"{text}; give another name, or remove what is in its place")
    return RunError(text)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether there was too little memory for an object, a library or a tensor."""
    if isinstance(error, ImportError | RuntimeError):
        reasons = ("out of memory", "allocate memory", "failed to map segment")
        return any(reason in str(error).lower() for reason in reasons)
    return isinstance(error, MemoryError)


@contextlib.contextmanager
def require_extra(need: str, extra: str) -> Iterator[None]:
    """Raise InputError, "serving needs FastAPI (...); pip install ...", if an import fails."""
    try:
        yield
    except ImportError as error:
        command = f"{os.path.relpath(sys.executable)} -m pip install -e '.[{extra}]'"
        raise InputError(f"{need} ({error}); {command}") from None


def find_closest(name: str, names: Iterable[str]) -> str | None:
    """Return the most similar name; None if no name is similar."""
    import difflib  # rarely needed: only for error messages

    return next(iter(difflib.get_close_matches(name[:200], list(names), 1)), None)


def suggest_name(name: str, names: Iterable[str], fallback: str = "") -> str:
    """Return "; did you mean X?" for a misspelt name, or `fallback` if no name is similar."""
    suggestion = find_closest(name, names)
    return fallback if suggestion is None else f"; did you mean {suggestion}?"


def shorten(value: object, limit: int = 300) -> str:
    """Return `value` as text for an error message. A long text is cut in its middle."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # thousands of digits or nested brackets
        return f"({type(value).__name__} too large to show)"
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}... ({len(text)} characters) ...{text[-limit // 4 :]}"


def to_one_line(error: object, limit: int = 200, with_type: bool = False) -> str:
    """Return an error's message, or else its type, as one line of about `limit` characters."""
    # The last lines of an error of OmegaConf are about its node.
    text = shorten(error, 100_000).partition("\n    full_key:")[0]
    text, name = " ".join(text.split()), type(error).__name__
    if with_type or not text:
        text = f"{name}: {text}" if text else name
    return shorten(text, limit)


def format_reason(error: BaseException) -> str:
    """Return the reason that the system or a library gives for an error, as one short line."""
    return to_one_line(getattr(error, "strerror", None) or error)
