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
from pathlib import Path
from types import FrameType
from typing import Any


class InputError(Exception):
    """Something that the user gave cannot be used."""

    exit_code = 2


class RunError(Exception):
    """The command was asked for something possible and could not do it (a full disk, say)."""

    exit_code = 1


def non_finite_scores() -> RunError:
    """What a choice among logits that are infinite or no numbers, or their loss, ends with."""
    return RunError("the model's scores are not numbers: its weights are too large to compute with")


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


# Signals that ask a command to stop, and the one whose exit code it then has. Clusters and their
# launchers send SIGUSR1 or SIGUSR2 before SIGTERM; SIGHUP says that the terminal is gone, which a
# command may outlive with nohup only.
STOPPING = {
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
        raise Interrupted("terminated", STOPPING[signal.Signals(signum)])


@contextlib.contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Raise InputError where a package of an extra, which is imported inside, is not there.

    Args:
        what: what needs it, as the line begins.
    """
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what} ({error}); {install(extra)}") from None


def install(extra: str) -> str:
    """The command that adds an extra to the charrnn that runs, for this Python.

    It names what charrnn was installed from, as pip has recorded it (PEP 610), never the
    distribution alone: an index may have another one of that name.
    """
    import json
    import shlex
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    from charrnn import DISTRIBUTION

    try:
        installed = metadata.distribution(DISTRIBUTION)
        origin = json.loads(installed.read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:  # run from a checkout
        origin = {"url": Path(__file__).parents[1].as_uri(), "dir_info": {"editable": True}}
    what = f"{DISTRIBUTION}[{extra}]"
    if origin.get("dir_info", {}).get("editable"):
        path = os.path.relpath(url2pathname(urlsplit(origin["url"]).path))
        pip = ["-e", f"{path}[{extra}]"]
    elif vcs := origin.get("vcs_info"):
        pip = [f"{what} @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"]
    else:
        pip = [f"{what} @ {origin['url']}" if origin else f"{what}=={installed.version}"]
    python = sys.executable
    if Path(python).is_relative_to(Path.cwd()):
        python = os.path.relpath(python)
    return shlex.join([python, "-m", "pip", "install", *pip])


def closest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Of some names the one that a misspelt one is nearest to, if one is near by `cutoff`."""
    import difflib  # only where something is wrong

    return next(iter(difflib.get_close_matches(name[:200], list(names), 1, cutoff)), None)


def did_you_mean(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """The end of a line about a name that is not there."""
    near = closest(name, names)
    return otherwise if near is None else f"; did you mean {near}?"


def shown(value: object, limit: int = 300) -> str:
    """A value as an error line quotes it: one that is very long is cut in its middle."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return f"({type(value).__name__} too large to show)"
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}... ({len(text)} characters) ...{text[-limit // 4 :]}"


def with_short_words(line: str) -> str:
    """A line for a person, in which a word that is very long is cut as `shown` cuts it."""
    return re.sub(r"\S{1001,}", lambda word: shown(word[0]), line)


def one_line(what: object, limit: int = 200, kind: bool = False) -> str:
    """What an error says, in one line that `shown` cuts where it is longer than `limit`.

    Args:
        kind: whether the name of the error's type stands before it; it stands alone where the
            error says nothing.
    """
    text, name = " ".join(shown(what, 100_000).split()), type(what).__name__
    if kind or not text:
        text = f"{name}: {text}" if text else name
    return shown(text, limit)


def reason_of(error: BaseException) -> str:
    """What an error of the system or a library says, in one line that is not long."""
    return one_line(getattr(error, "strerror", None) or error)
