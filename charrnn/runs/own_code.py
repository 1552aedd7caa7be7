"""Whose code raised an error: charrnn's or a library's, or somebody's own that it called."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from charrnn.errors import OwnCodeError
from charrnn.files import short_path

PACKAGE = Path(__file__).resolve().parents[1]
# Hydra finds its plugins beside the package
CHARRNN = (PACKAGE, PACKAGE.parent / "hydra_plugins")
PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


def own_code_error(error: BaseException) -> OwnCodeError | None:
    """What to say of an error that somebody's own code raised; None if it was not theirs.

    A callback, a loss or an optimizer of somebody's own runs between frames of Lightning, torch
    and Hydra. The innermost frame that is neither Python's nor an installed package's decides.
    """
    frames = traceback.extract_tb(error.__traceback__)
    deciding = [f for f in frames if _is_charrnn(f.filename) or not _is_installed(f.filename)]
    if not deciding or _is_charrnn(deciding[-1].filename):
        return None
    own = [frame for frame in deciding if not _is_charrnn(frame.filename)]
    head = "Traceback (only what is not charrnn's or a library's):\n"
    lines = "".join([head, *traceback.format_list(own)])
    where = short_path(own[-1].filename)
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return OwnCodeError(
        f"{where}:{own[-1].lineno}: {what} (in your own code, not in charrnn)", lines
    )


def _is_charrnn(filename: str) -> bool:
    return any(Path(filename).resolve().is_relative_to(folder) for folder in CHARRNN)


def _is_installed(filename: str) -> bool:
    """Whether a file is Python's, of an installed package, or was made at run time."""
    path = Path(filename).resolve()
    return (
        filename.startswith("<")
        or bool({"site-packages", "dist-packages"} & {*path.parts})
        or any(path.is_relative_to(folder) for folder in PYTHON)
    )
