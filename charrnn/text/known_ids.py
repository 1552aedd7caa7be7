"""The characters of a text that a model knows, as its ids, and how many it does not know.

The ids lie in a nameless temporary file that is mapped, so a text that is larger than the
memory is no different from a small one.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, RunError, reason_of, shown
from charrnn.text.preprocessing import read_pieces, source_name
from charrnn.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class KnownIds:
    """Ids of what a vocabulary has of a text, in the text's order.

    Attributes:
        ids: (n,) from 0, in the narrowest type that holds them.
        unknown: how many characters are left out, since the vocabulary lacks them.
        mapping: the file with the ids; None where there are none.
    """

    ids: npt.NDArray[Any]
    unknown: int
    mapping: mmap.mmap | None

    def release(self) -> None:
        """Let go of the pages read so far."""
        let_go(self.mapping)


def let_go(mapping: mmap.mmap | None) -> None:
    """Let go of what was read of a mapped file, if it is one and the system can.

    It stays in the system's cache, but no longer counts as this process's memory, which
    would otherwise seem to grow to the size of the file.
    """
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def read_known(
    input_txt: str | list[str], encoding: str, vocabulary: Vocabulary, *, skip: bool
) -> KnownIds:
    """The ids of a text (see `charrnn.text.sources.find_files`) in a vocabulary.

    Args:
        skip: leave out the characters that the vocabulary lacks, rather than refuse them.

    Raises:
        InputError: the text cannot be read, is empty, or (without `skip`) holds such a character.
        RunError: there is no room for the ids.
    """
    encode = vocabulary.look_up if skip else vocabulary.encode

    def pieces() -> Iterator[npt.NDArray[np.int64]]:
        for piece in read_pieces(input_txt, encoding):
            try:
                yield encode(piece)
            except InputError as error:
                name = input_txt if isinstance(input_txt, str) else source_name(input_txt)
                raise InputError(
                    f"data.input_txt={shown(name)}: {error}, or give unknown=skip"
                ) from None

    return known(pieces(), len(vocabulary))


def known(pieces: Iterable[npt.NDArray[np.int64]], vocabulary_size: int) -> KnownIds:
    """The ids (from 0) of some pieces of a text one after the other, without those that are -1.

    Raises:
        RunError: there is no room for them.
    """
    dtype, unknown = np.min_scalar_type(vocabulary_size - 1), 0
    with _room_for_ids(), tempfile.TemporaryFile() as file:
        for piece in pieces:
            ids = piece[piece >= 0].astype(dtype)
            unknown += len(piece) - len(ids)
            file.write(ids.data)
        file.flush()
        if not file.tell():
            return KnownIds(np.zeros(0, dtype), unknown, None)
        # it outlives the file's handle
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return KnownIds(np.frombuffer(mapping, dtype), unknown, mapping)


@contextlib.contextmanager
def _room_for_ids() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"there is no place for the ids of the text ({reason_of(error)}); "
            f"TMPDIR=FOLDER names one with more room"
        ) from error
