"""Ids on their way into an HDF5 file: waiting without a name, then written at their place."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

from charrnn.errors import RunError, reason_of, shown

Report = Callable[[int, "int | None"], None]

_BLOCK = 1 << 15  # ids copied at once


class Spool:
    """Ids that wait in a file until their number and final type are known."""

    def __init__(self, file: BinaryIO) -> None:
        self.count = 0
        self._file = file
        self._runs: list[list[Any]] = []  # [dtype, ids] one after the other

    def write(self, ids: npt.NDArray[Any]) -> None:
        self._file.write(ids.data.cast("B"))
        self.count += len(ids)
        if not self._runs or self._runs[-1][0] != ids.dtype:
            self._runs.append([ids.dtype, 0])
        self._runs[-1][1] += len(ids)

    def blocks(self, lengths: list[int]) -> Iterator[npt.NDArray[Any]]:
        """All ids from the start, in blocks that never reach across these lengths.

        Reading the file back consumes what it knows of it: this can be done once.
        """
        self._file.seek(0)
        for left in lengths:
            while left:
                dtype, available = self._runs[0]
                count = min(left, available, _BLOCK)
                yield np.frombuffer(self._file.read(count * dtype.itemsize), dtype, count)
                left -= count
                self._runs[0][1] -= count
                if not self._runs[0][1]:
                    del self._runs[0]


@contextlib.contextmanager
def spool_beside(h5: Path) -> Iterator[Spool]:
    """A spool on the disk of `h5`: without a name, so that nothing can be left of it."""
    with unwritable(h5):
        folder = next(p for p in Path(os.path.realpath(h5)).parents if p.exists())
        with tempfile.TemporaryFile(dir=folder) as file:
            yield Spool(file)


@contextlib.contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """An OSError within is a RunError that names `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{shown(path)}: cannot be written ({reason_of(error)})") from error


def write_h5(
    path: Path,
    spool: Spool,
    sizes: dict[str, int],
    dtype: np.dtype[Any],
    attributes: dict[str, str],
    report: Report,
) -> None:
    """Lay out the HDF5 file, then write the ids into it.

    The ids go through plain writes at the datasets' offsets: a quarter of the time that the
    library takes, and a full disk is an ordinary OSError.
    """
    offsets = _lay_out(path, sizes, dtype)
    done, total = 0, spool.count * dtype.itemsize
    blocks = spool.blocks(list(sizes.values()))
    with open(path, "r+b", buffering=0) as file:
        for split, size in sizes.items():
            written = 0
            while written < size:
                ids = next(blocks).astype(dtype)
                file.seek(offsets[split] + written * dtype.itemsize)
                _write_all(file, ids.data.cast("B"))
                written += len(ids)
                report(done := done + ids.nbytes, total)
        os.fsync(file.fileno())
    with _plain_errors(), h5py.File(path, "r+", locking=False) as h5:
        h5.attrs.update(attributes)
    # so that the two names change hands within an instant
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _lay_out(path: Path, sizes: dict[str, int], dtype: np.dtype[Any]) -> dict[str, int]:
    """Make the file with its datasets, contiguous and without content; where they begin."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(dtype)
    with _plain_errors(), h5py.File(path, "w", locking=False) as h5:
        return {
            split: h5py.h5d.create(
                h5.id, split.encode(), kind, h5py.h5s.create_simple((size,)), plan
            ).get_offset()
            or 0
            for split, size in sizes.items()
        }


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """The HDF5 library's errors as an OSError of one short line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        # what the system said stands somewhere within what the library says
        number = re.search(r"errno = (\d+)", str(error))
        if number:
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise OSError(str(error).partition("\n")[0]) from error


def _write_all(file: Any, data: memoryview) -> None:
    """An unbuffered file may take a part only, when the disk is nearly full or a signal comes."""
    while data:
        data = data[file.write(data) :]
