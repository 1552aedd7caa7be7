"""Files that are whole or not there, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from charrnn.errors import RunError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new file's path beside `path`; on leaving, it takes `path`'s place at once.

    The content is on the disk before the name points to it, so that neither a kill nor
    a power cut leaves a torn file; when the block raises, nothing is left behind.

    Raises:
        RunError: names `path` when it cannot be written (full disk, no permission).
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        yield Path(temporary)
        _sync(temporary)
        os.replace(temporary, path)
        temporary = None
        _sync(path.parent)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


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
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # closed by whoever takes the lock
        handle = open(path, "a+")  # noqa: SIM115
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        handle.close()
        return None
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle
