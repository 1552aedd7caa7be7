"""Where a command writes text: to standard output, as it can take it, or to a file."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import InputError, RunError, short
from charrnn.files import replacing
from charrnn.text.vocabulary import TerminalText, as_bytes

Write = Callable[[str], None]


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[Write]:
    """A function that writes text to standard output, or to a file that is whole or not there.

    A terminal gets what it can show, and control characters as pictures of themselves; a pipe
    or a file the text itself, at once.

    Raises:
        RunError: it cannot be written.
    """
    if output is not None:
        with replacing(Path(output)) as temporary, temporary.open("wb") as file:
            yield lambda text: _write(file, text)
    elif sys.stdout.isatty():
        terminal = TerminalText(sys.stdout.encoding)
        yield lambda text: _print(terminal.encoded(text))
        _print(terminal.encoded("", last=True))
    else:
        yield lambda text: _print(as_bytes(text))


def require_not_the_model(output: str | None, *models: str | Path | None) -> None:
    """Raise InputError if what is to be written is a folder, or one of these models."""
    from charrnn.runs.model_lookup import find_model

    if output is not None and os.path.isdir(output):
        raise InputError(f"output={short(output)}: is a folder; name a file")
    is_there = output is not None and os.path.exists(output)
    if is_there and any(os.path.samefile(str(output), find_model(model)) for model in models):
        raise InputError(f"output={short(output)}: is the model itself; name another file")


def _write(file: BinaryIO, text: str) -> None:
    file.write(as_bytes(text))


def _print(content: bytes) -> None:
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(f"standard output: cannot be written ({error.strerror})") from error
