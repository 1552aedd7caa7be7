"""Whose code raised an error: charrnn's or a library's, or somebody's own that it called."""

from __future__ import annotations

import os
import site
import sysconfig
import traceback
from pathlib import Path

from charrnn.errors import OwnCodeError

PACKAGE = Path(__file__).resolve().parent


def blamed(error: BaseException) -> OwnCodeError | None:
    """What to say of an error that somebody's own code raised; None if it was not theirs.

    A callback, a loss or an optimizer of somebody's own runs between frames of Lightning, torch
    and Hydra. The innermost frame that is neither Python's nor an installed package's decides.
    """
    frames = traceback.extract_tb(error.__traceback__)
    deciding = [frame for frame in frames if not _is_installed(frame.filename)]
    if not deciding or _is_charrnn(deciding[-1].filename):
        return None
    own = [frame for frame in deciding if not _is_charrnn(frame.filename)]
    lines = "".join(
        ["Traceback (only what is not charrnn's or a library's):\n", *traceback.format_list(own)]
    )
    path = os.path.relpath(own[-1].filename)
    where = own[-1].filename if path.startswith("..") else path
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return OwnCodeError(
        f"{where}:{own[-1].lineno}: {what} (in your own code, not in charrnn)", lines
    )


def _is_charrnn(filename: str) -> bool:
    path = Path(filename).resolve()
    # Hydra finds its plugins beside the package
    return path.is_relative_to(PACKAGE) or path.is_relative_to(PACKAGE.parent / "hydra_plugins")


def _is_installed(filename: str) -> bool:
    """Whether a file is Python's, or of an installed package that is not charrnn."""
    if filename.startswith("<"):  # made at run time
        return True
    names = ("purelib", "platlib", "stdlib", "platstdlib")
    folders = [*map(sysconfig.get_path, names), *site.getsitepackages()]
    folders += [site.getusersitepackages(), *_TORCH]
    path = Path(filename).resolve()
    is_inside = any(path.is_relative_to(Path(folder).resolve()) for folder in folders)
    return is_inside and not _is_charrnn(filename)


def _place_of_torch() -> list[str]:
    """Where torch lies, which every frame of a training passes: elsewhere, by a .pth file."""
    from importlib import metadata

    try:
        return [str(metadata.distribution("torch").locate_file(""))]
    except metadata.PackageNotFoundError:
        return []


_TORCH = _place_of_torch()
