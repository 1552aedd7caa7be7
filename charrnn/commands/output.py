"""Write a command's text to standard output or to a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from charrnn.errors import InputError, RunError, shorten
from charrnn.files import replace_file, shorten_path
from charrnn.text.vocabulary import as_bytes, encode_for_terminal


def write_output(pieces: Iterable[str], output: str | None = None) -> None:
    """Write the pieces of a text to standard output (None) or to a file.

    The file appears only when it is complete. A terminal gets symbols instead of control
    characters and unencodable characters. A pipe or a file gets the exact text without delay.
    """
    if output is not None:
        with replace_file(Path(output)) as temporary, temporary.open("wb") as file:
            file.writelines(map(as_bytes, pieces))
    elif sys.stdout.isatty():
        for content in encode_for_terminal(pieces, sys.stdout.encoding):
            _print(content)
    else:
        for piece in pieces:
            _print(as_bytes(piece))


def check_output(output: str | None, *read: str | Path | None, option: str = "output") -> None:
    """Refuse an output that is a folder, a device, or what the command reads.

    Refuse also an existing file below the folder of a run or a sweep, which may be needed.

    Args:
        read: the paths that the command reads, which may be missing.
    """
    from charrnn.runs.folder import is_run, is_sweep

    if output is None or not os.path.exists(output):
        return
    named = f"{option}={shorten(output)}"
    if os.path.isdir(output):
        raise InputError(f"{named}: is a folder; name a file")
    if not os.path.isfile(output):
        raise InputError(f"{named}: is not a regular file; name another file")
    if any(path and os.path.exists(path) and os.path.samefile(output, path) for path in read):
        raise InputError(f"{named}: is what the command reads; name another file")
    for folder in Path(os.path.realpath(output)).parents:
        if is_run(folder) or is_sweep(folder):
            what = f"is a file in the folder of a run or a sweep, {shorten_path(folder)}"
            raise InputError(f"{named}: {what}; name a new file")


def _print(content: bytes) -> None:
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(f"standard output: cannot be written ({error.strerror})") from error
