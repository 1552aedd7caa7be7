"""Atomic file replacement, locks between processes, and the names of files in messages."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from charrnn.errors import InputError, RunError, format_reason, make_write_error, shorten

OUTPUTS = Path("outputs")  # the default folder of runs
_TEMPORARY_SUFFIX = ".charrnn.part"


@contextlib.contextmanager
def convert_write_errors(path: Path) -> Iterator[None]:
    """Convert an OSError inside the `with` block into an error that names `path`."""
    try:
        yield
    except OSError as error:
        raise make_write_error(path, error) from error


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that atomically replaces `path` at the end of the block.

    The content is synced to the disk before the rename, so that neither a kill nor a power cut
    leaves an incomplete file. If the block raises, the temporary file is removed.
    """
    path = Path(os.path.realpath(path))  # replaces the target of a link, not the link
    require_replaceable(path)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{_TEMPORARY_SUFFIX}")
    with convert_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            _sync(path.parent)


def require_replaceable(path: Path) -> None:
    """Raise InputError if `replace_file` would refuse a path, for example a folder."""
    if path.exists() and not path.is_file():
        hint = "remove it, or give another name"
        raise InputError(f"{path}: is not a regular file and is not replaced; {hint}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporary_files(folder: Path) -> None:
    """Remove temporary files of killed processes. No other process may be writing to `folder`."""
    for path in folder.rglob(f".*{_TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            path.unlink()


def is_plain_file(path: Path) -> bool:
    """Return whether a path is a regular file with one name: no link, hard link, pipe or device."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def acquire_lock(path: Path, wait: bool) -> IO[str] | None:
    """Lock a lock file until the returned file is closed, and write this process's id into it.

    The kernel releases the lock when the process ends in any way. Return None if another process
    holds the lock and `wait` is false.
    """
    with convert_write_errors(path), contextlib.ExitStack() as close_on_error:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        file = close_on_error.enter_context(open(descriptor, "r+"))
        if os.fstat(descriptor).st_nlink > 1:
            raise RunError(f"{path}: is a hard link to another file; remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        close_on_error.pop_all()
        return file


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Wait for a lock file's lock, hold it during the block, and remove the file afterwards.

    A process that has waited must check again whether another one has already done its work.
    """
    file = acquire_lock(path, wait=True)
    assert file is not None
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def require_regular_file(path: Path, hint: str) -> os.stat_result:
    """Return the status of a regular file. Reading a pipe or a device could block forever.

    If there is none, the message of the InputError ends with `hint`, which says what to do.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{shorten(path)}: no such file; {hint}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{shorten(path)}: cannot be read ({format_reason(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{shorten(path)}: is not a regular file; {hint}")
    return status


def resolve_run_path(name: str) -> str:
    """Return outputs/`name` for the name of a run that `charrnn runs` prints, else `name`."""
    run = str(OUTPUTS / name)
    return run if name and not os.path.lexists(name) and os.path.isdir(run) else name


def relative_path(path: str | Path) -> str:
    """Return a path from here, which an option of a command line reads as a path."""
    relative = os.path.relpath(path)
    means_more = relative in ("null", "auto") or relative[0] in "'\"["
    return f"./{relative}" if means_more else relative


def shorten_path(path: str | Path) -> str:
    """Return the relative form of a path below the working directory, else the path itself."""
    relative = relative_path(path)
    return str(path) if relative.startswith("..") else relative
