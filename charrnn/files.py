"""Files that are whole or not there, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from charrnn.errors import InputError, RunError, format_reason, shorten

OUTPUTS = Path("outputs")  # where runs lie by default
_UNFINISHED = ".charrnn.part"


@contextlib.contextmanager
def convert_write_errors(path: Path) -> Iterator[None]:
    """An OSError within is a RunError that names `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{shorten(path)}: cannot be written ({format_reason(error)})") from error


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a new file's path beside `path`; on leaving, it takes `path`'s place at once.

    The content is on the disk before the name points to it, so that neither a kill nor
    a power cut leaves a torn file; when the block raises, nothing is left behind.

    Raises:
        RunError: names `path` when it cannot be written (full disk, no permission).
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    if path.exists() and not path.is_file():
        raise RunError(f"{path}: is no regular file, so it is not replaced; name another")
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{_UNFINISHED}")
    with convert_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not every file system syncs a folder
            _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed processes left of `replacing`; no other may be at work in `folder`."""
    for path in folder.rglob(f".*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            path.unlink()


def add_number(path: str, number: int) -> str:
    """A path with a number before its ending: new-3.txt."""
    stem, ending = os.path.splitext(path)
    return f"{stem}-{number}{ending}"


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing; RunError where it cannot be."""
    with convert_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def acquire_lock(path: Path, wait: bool) -> IO[str] | None:
    """Take the lock of a lock file; it is held until the returned file is closed.

    The file then holds this process's id. The kernel frees the lock when its holder
    dies, however it dies.

    Returns:
        The open lock file, or None when another process holds it and `wait` is false.

    Raises:
        RunError: names the file when it cannot be written, or is a link to somebody's file.
    """
    with convert_write_errors(path), contextlib.ExitStack() as closing:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        handle = closing.enter_context(open(descriptor, "r+"))
        if os.fstat(descriptor).st_nlink > 1:
            raise RunError(f"{path}: is a hard link to another file; remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        closing.pop_all()
        return handle


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Wait for the lock of a lock file, hold it, and remove the file.

    Whoever waits for it has it open already; it must look again at what was done before it works.
    """
    handle = acquire_lock(path, wait=True)
    assert handle is not None
    with handle:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def require_regular_file(path: Path, hint: str) -> os.stat_result:
    """Look before a file is opened: a pipe or a device would be waited for, or never end.

    Args:
        hint: what to do when there is no such file.

    Raises:
        InputError: names what is missing, unreadable, a folder, a pipe or a device.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{shorten(path)}: no such file; {hint}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{shorten(path)}: cannot be read ({format_reason(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{shorten(path)}: is no regular file; {hint}")
    return status


def resolve_run_path(name: str) -> str:
    """The path that a name stands for: itself, or below outputs/, as `charrnn runs` prints it."""
    below = str(OUTPUTS / name)
    return below if not os.path.lexists(name) and os.path.isdir(below) else name


def relative_path(path: str | Path) -> str:
    """Return a path from here, which an option of a command line reads as a path."""
    relative = os.path.relpath(path)
    means_more = relative in ("null", "auto") or relative[0] in "'\"["
    return f"./{relative}" if means_more else relative


def shorten_path(path: str | Path) -> str:
    """A path from here, where it lies below."""
    relative = relative_path(path)
    return str(path) if relative.startswith("..") else relative
