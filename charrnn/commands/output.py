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


def check_output(
    output: str | None,
    model: str | Path | None = None,
    option: str = "output",
    texts: Iterable[object] = (),
) -> None:
    """Refuse an output that is a folder, a device, or what the command reads.

    Refuse also an existing file below the folder of a run or a sweep, which may be needed.

    Args:
        model: the one that the command reads; None if it reads none.
        texts: paths of texts and their ids, which may be missing. Other values are ignored.
    """
    from charrnn.runs.folder import is_run, is_sweep
    from charrnn.runs.model_lookup import find_model

    if output is None or not os.path.exists(output):
        return
    if os.path.isdir(output):
        raise InputError(f"{option}={shorten(output)}: is a folder; name a file")
    if not os.path.isfile(output):
        raise InputError(f"{option}={shorten(output)}: is not a regular file; name another file")
    if model is not None and os.path.samefile(output, find_model(model)):
        raise InputError(f"{option}={shorten(output)}: is the model itself; name another file")
    if any(isinstance(t, str) and os.path.exists(t) and os.path.samefile(output, t) for t in texts):
        raise InputError(f"{option}={shorten(output)}: is the text itself; name another file")
    for folder in Path(os.path.realpath(output)).parents:
        if is_run(folder) or is_sweep(folder):
            what = f"is a file in the folder of a run or a sweep, {shorten_path(folder)}"
            raise InputError(f"{option}={shorten(output)}: {what}; name a new file")


def _print(content: bytes) -> None:
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(f"standard output: cannot be written ({error.strerror})") from error
