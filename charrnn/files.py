"""Files that are whole or not there, files that grow by whole pieces, locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from charrnn.errors import InputError, RunError, reason_of, shown

_UNFINISHED = ".charrnn.part"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new file's path beside `path`; on leaving, it takes `path`'s place at once.

    The content is on the disk before the name points to it, so that neither a kill nor
    a power cut leaves a torn file; when the block raises, nothing is left behind. What a killed
    writer of the same path left behind is removed.

    Raises:
        RunError: names `path` when it cannot be written (full disk, no permission).
    """
    temporary: str | None = None
    if os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/")):
        raise RunError(f"{path}: is a stream that is open already, not a file to replace")
    path = Path(os.path.realpath(path))  # a link stays a link
    handle = -1
    if path.exists() and not path.is_file():
        raise RunError(f"{path}: is no regular file, so it is not replaced; name another")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent, f".{glob.escape(path.name)}.????????{_UNFINISHED}")
        handle, temporary = _made_in(path.parent, f".{path.name}.")
        os.chmod(temporary, 0o666 & ~_umask())
        yield Path(temporary)
        _sync(temporary)
        os.replace(temporary, path)
        temporary = None
        with contextlib.suppress(OSError):  # not every file system syncs a folder
            _sync(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if handle >= 0:
            os.close(handle)


def _made_in(folder: Path, prefix: str) -> tuple[int, str]:
    """A new temporary file, opened and under a lock that its writer holds as long as it lives."""
    while True:
        handle, path = tempfile.mkstemp(_UNFINISHED, prefix, folder)
        # shared, so that the finished file can be read by whom asks for such a lock (HDF5)
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_nlink:  # nobody took it for abandoned before it was locked
            return handle, path
        os.close(handle)


def _remove_abandoned(folder: Path, pattern: str) -> None:
    """Remove temporary files whose writers are dead: their locks are free."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)


def numbered(path: str, *numbers: int) -> str:
    """A path with numbers before its ending: of new.txt, 3 and 0 new-3-0.txt."""
    stem, ending = os.path.splitext(path)
    return "-".join([stem, *map(str, numbers)]) + ending


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        RunError: names it when it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def make_new_folder(path: Path) -> Path:
    """Make a folder that was not there; where one stands, beside it, with a number.

    However many processes ask at once, each gets a folder of its own.

    Raises:
        RunError: names it when it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            made = path if number == 1 else path.with_name(f"{path.name}-{number}")
            with contextlib.suppress(FileExistsError):
                made.mkdir()
                return made
    except OSError as error:
        raise _unwritable(path, error) from error
    raise AssertionError("there is always another number")


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of `replacing`; no other may be at work in `folder`."""
    for place in (folder, *(folder / name for name in ("checkpoints", "samples", ".hydra"))):
        for path in place.glob(f".*{_UNFINISHED}"):
            with contextlib.suppress(OSError):
                path.unlink()


class Growing:
    """A file that grows at its end: each piece is written whole, or taken back.

    Nothing is buffered here, so what was appended outlives a kill; `sync` makes it outlive
    a power cut.

    Raises:
        RunError: at every call, names the file when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._explaining():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def append(self, piece: bytes) -> None:
        with self._explaining():
            start = os.fstat(self._file.fileno()).st_size
            rest = memoryview(piece)
            try:
                while rest:
                    # a disk that is nearly full takes a part before it refuses
                    rest = rest[self._file.write(rest) :]
            except BaseException:
                self._file.truncate(start)
                raise

    def is_there(self) -> bool:
        """Whether the path still leads to it: a removed file can be written to all the same."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        own = os.fstat(self._file.fileno())
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)

    def sync(self) -> None:
        with self._explaining():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with self._explaining():
            self._file.close()

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(f"{path}: cannot be written ({error.strerror or error})")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(path: Path, wait: bool) -> IO[str] | None:
    """Take the lock of a lock file; it is held until the returned file is closed.

    The file then holds this process's id. The kernel frees the lock when its holder
    dies, however it dies.

    Returns:
        The open lock file, or None when another process holds it and `wait` is false.

    Raises:
        RunError: names the file when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # closed by whoever takes the lock
        handle = open(path, "a+")  # noqa: SIM115
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        os.ftruncate(handle.fileno(), 0)
        os.write(handle.fileno(), f"{os.getpid()}\n".encode())
    except BlockingIOError:
        handle.close()
        return None
    except OSError as error:
        handle.close()
        raise _unwritable(path, error) from error
    return handle


def require_regular_file(path: Path, hint: str) -> os.stat_result:
    """A pipe or a device would be waited for, or never end; so look before anything is opened.

    Args:
        hint: what to do when there is no such file.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{shown(path)}: no such file; {hint}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: cannot be read ({reason_of(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{shown(path)}: is no regular file; {hint}")
    return status


def short_path(path: str | Path) -> str:
    """A path from here, where it lies below."""
    relative = os.path.relpath(path)
    # with hydra.job.chdir=true it is the folder that the command has gone into, and no other has
    return str(path) if relative.startswith("..") or relative == "." else relative
