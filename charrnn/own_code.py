"""Whose code raised an error: charrnn's, or somebody's own that it called.

A callback, a loss, an optimizer or a plugin of somebody's own runs between frames of Lightning,
torch and Hydra. The innermost frame that is neither theirs nor Python's decides.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import site
import sysconfig
import traceback
from importlib import metadata
from pathlib import Path

from charrnn import DISTRIBUTION
from charrnn.errors import OwnCodeError

PACKAGE = Path(__file__).resolve().parent
# Hydra finds its plugins beside the package
OURS = (PACKAGE, PACKAGE.parent / "hydra_plugins")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def explained(error: BaseException) -> OwnCodeError | None:
    """What to say of an error that somebody's own code raised; None if it was charrnn's."""
    frames = traceback.extract_tb(error.__traceback__)
    deciding = [frame for frame in frames if not _is_dependency(frame.filename)]
    if not deciding or _is_ours(deciding[-1].filename):
        return None
    own = [frame for frame in deciding if not _is_ours(frame.filename)]
    lines = "".join(
        ["Traceback (only what is not charrnn's or a library's):\n", *traceback.format_list(own)]
    )
    path = os.path.relpath(own[-1].filename)
    where = own[-1].filename if path.startswith("..") else path
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return OwnCodeError(
        f"{where}:{own[-1].lineno}: {what} (in your own code, not in charrnn)", lines
    )


def _is_ours(filename: str) -> bool:
    return any(Path(filename).resolve().is_relative_to(folder) for folder in OURS)


def _is_dependency(filename: str) -> bool:
    """Whether a file is Python's, or of a package that charrnn requires."""
    if filename.startswith("<"):  # made at run time
        return True
    path = Path(filename).resolve()
    if any(path.is_relative_to(folder) for folder in OURS):
        return False
    for folder in _site_folders():
        if path.is_relative_to(folder):
            return path.relative_to(folder).parts[0].removesuffix(".py") in _required()
    return any(
        path.is_relative_to(Path(sysconfig.get_path(name)).resolve())
        for name in ("stdlib", "platstdlib")
    )


@functools.cache
def _site_folders() -> list[Path]:
    named = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    folders = [*named, *site.getsitepackages(), site.getusersitepackages()]
    # torch, which every frame of a training passes, may lie where another file sent Python
    with contextlib.suppress(metadata.PackageNotFoundError):
        folders.append(str(metadata.distribution("torch").locate_file("")))
    return [Path(folder).resolve() for folder in folders]


@functools.cache
def _required() -> frozenset[str]:
    """What is imported of all that charrnn requires, its extras too, and of what that requires."""
    names: set[str] = set()
    waiting = [DISTRIBUTION]
    while waiting:
        name = _canonical(waiting.pop())
        if name in names:
            continue
        names.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            for line in metadata.requires(name) or ():
                if (found := _NAME.match(line)) and (
                    "extra ==" not in line or name == DISTRIBUTION
                ):
                    waiting.append(found[0])
    packages = metadata.packages_distributions()
    return frozenset(p for p, owners in packages.items() if names & set(map(_canonical, owners)))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
