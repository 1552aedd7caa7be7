"""Encoded text: the ids of its splits and their vocabulary; NumPy and h5py only.

The HDF5 file is mapped, not read: what is asked for is copied when it is asked for, and a
corpus larger than the memory is no different from a small one. `charrnn.streams` cuts a split
into what is trained on.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, reason_of, shown
from charrnn.files import require_regular_file
from charrnn.options.datasets import SPLITS
from charrnn.text.sources import names_of, read_pieces
from charrnn.text.vocabulary import FIRST_FILE_ID, Vocabulary

FileIds = npt.NDArray[Any]  # (n,), an unsigned or signed integer type, counted from 1
Ids = npt.NDArray[np.int64]  # counted from 0

CHECKED = 1 << 26  # ids; larger texts are checked as they are read
FINGERPRINT_BLOCKS = 64
BLOCK = 1 << 20  # ids


@dataclass(frozen=True)
class EncodedText:
    """A preprocessed corpus: the ids of its splits, as they stand in the file.

    Attributes:
        splits: for train, val and test an array (n,), counted from 1, mapped where it can be.
        mapping: the mapped file, for `release`; None where the splits were read.
    """

    path: Path
    json_path: Path
    vocabulary: Vocabulary
    splits: dict[str, FileIds]
    mapping: mmap.mmap | None = None

    def release(self) -> None:
        """Let go of the pages read so far, if there are any and the system can.

        They stay in the system's cache, but no longer count as this process's memory, which
        would otherwise seem to grow to the size of the file.
        """
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of vocabulary, sizes and ids (all of a small corpus, 64 MB spread over a large).

        It does not depend on how the ids are stored.
        """
        digest = hashlib.sha256("\0".join(self.vocabulary.tokens()).encode("utf-8", "replace"))
        for name in SPLITS:
            ids = self.splits[name]
            digest.update(f"{name} {len(ids)}\n".encode())
            for start in _block_starts(len(ids)):
                block = ids[start : start + BLOCK]
                digest.update(block.astype(np.uint32).data)
                self.release()
        return digest.hexdigest()

    def unread(self, split: str) -> SplitIds:
        """The ids of a split, read piece by piece.

        An id that is not one of the vocabulary's is an InputError when it is reached.
        """
        size, path = len(self.vocabulary), self.path
        return SplitIds(
            self.splits[split], lambda part: from_file_ids(part, size, path), self.release
        )


def _as_they_are(ids: FileIds) -> Ids:
    return ids.astype(np.int64)


def do_nothing() -> None:
    pass


@dataclass(frozen=True)
class SplitIds:
    """Ids (n,) from 0 that are converted as they are read: n may be larger than the memory.

    Attributes:
        stored: (n,), as they lie in a file or in memory.
        convert: makes ids from 0 of a part of them, of any shape.
        release: lets go of what was read of the file.
        unknown: characters of the text that are left out, since the vocabulary lacks them.
    """

    stored: FileIds
    convert: Callable[[FileIds], Ids] = _as_they_are
    release: Callable[[], None] = do_nothing
    unknown: int = 0

    @classmethod
    def known(cls, pieces: Iterable[Ids], vocabulary_size: int) -> SplitIds:
        """Ids that come in pieces, kept in memory, without those that are -1."""
        dtype, kept, unknown = np.min_scalar_type(vocabulary_size - 1), bytearray(), 0
        for piece in pieces:
            ids = piece[piece >= 0].astype(dtype)
            unknown += len(piece) - len(ids)
            kept += ids.tobytes()
        return cls(np.frombuffer(kept, dtype), unknown=unknown)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, part: slice) -> Ids:
        return self.convert(self.stored[part])


def _block_starts(size: int) -> Iterator[int]:
    whole = FINGERPRINT_BLOCKS * BLOCK
    if size <= whole:
        yield from range(0, size, BLOCK)
    else:
        last = size - BLOCK
        yield from (last * i // (FINGERPRINT_BLOCKS - 1) for i in range(FINGERPRINT_BLOCKS))


def from_file_ids(file_ids: FileIds, vocabulary_size: int, path: Path) -> Ids:
    """Ids from 0 of ids as files hold them.

    Raises:
        InputError: an id is not one of the vocabulary's.
    """
    ids = file_ids.astype(np.int64)
    ids -= FIRST_FILE_ID
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= vocabulary_size):
        wrong = ids[(ids < 0) | (ids >= vocabulary_size)][0] + FIRST_FILE_ID
        raise InputError(
            f"{path}: holds the id {wrong}, and its vocabulary has the ids 1 to "
            f"{vocabulary_size}; preprocess the text again, or name the JSON that belongs to it"
        )
    return ids


def open_data(h5: Path, json: Path) -> EncodedText:
    """Open an HDF5 file and the vocabulary that belongs to it.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    vocabulary = Vocabulary.read_json(json)
    require_regular_file(h5, "`charrnn preprocess` makes it of a text")
    try:
        splits, mapping = _read_splits(h5)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        what = reason_of(error)
        raise InputError(
            f"{shown(h5)}: not a preprocessed text ({what}); `charrnn preprocess` makes one"
        ) from None
    if sum(len(ids) for ids in splits.values()) <= CHECKED:
        for ids in splits.values():
            for start in range(0, len(ids), BLOCK):
                from_file_ids(ids[start : start + BLOCK], len(vocabulary), h5)
    return EncodedText(h5, json, vocabulary, splits, mapping)


def training_data(facts: Mapping[str, Any]) -> EncodedText:
    """Open the data that a model was trained on, which its facts name.

    Raises:
        InputError: they name none, or it is gone.
    """
    h5, json = facts.get("input_h5"), facts.get("input_json")
    if not isinstance(h5, str) or not isinstance(json, str):
        raise InputError("the model does not say what it was trained on")
    return open_data(Path(h5), Path(json))


def _read_splits(h5: Path) -> tuple[dict[str, FileIds], mmap.mmap | None]:
    mapping: mmap.mmap | None = None
    splits: dict[str, FileIds] = {}
    with h5py.File(h5, "r") as file:
        for name in SPLITS:
            dataset = _dataset(file, name)
            if dataset.ndim != 1 or dataset.dtype.kind not in "ui":
                raise ValueError(f"/{name} is no row of whole numbers")
            offset = dataset.id.get_offset()
            if len(dataset) == 0:
                splits[name] = np.zeros(0, dataset.dtype)
            elif offset is None or dataset.id.get_storage_size() != dataset.nbytes:
                splits[name] = _read_plainly(dataset, h5)
            else:
                if mapping is None:
                    with open(h5, "rb") as handle:
                        mapping = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
                splits[name] = np.frombuffer(mapping, dataset.dtype, len(dataset), offset)
    return splits, mapping


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A split whose ids lie in this very file.

    HDF5 can also point to any other file of the machine; whoever made this file would then
    choose what is read and learnt from.
    """
    if isinstance(file.get(name, getlink=True), (h5py.ExternalLink, h5py.SoftLink)):
        raise ValueError(f"/{name} is a link; the ids must lie in the file itself")
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"it has no dataset /{name}")
    if dataset.external:
        raise ValueError(f"/{name} lies in external storage; the ids must lie in the file itself")
    if dataset.is_virtual:
        raise ValueError(f"/{name} is a virtual dataset; the ids must lie in the file itself")
    return dataset


def _read_plainly(dataset: h5py.Dataset, h5: Path) -> FileIds:
    """The ids of a chunked or compressed dataset, which cannot be mapped."""
    # deflate packs at most about 1000 to 1, so a size beyond that is a damaged header
    if dataset.nbytes > 2000 * h5.stat().st_size:
        raise ValueError(f"{dataset.name} claims {len(dataset)} ids, more than the file can hold")
    ids: FileIds = dataset[:]
    return ids


def translated(
    data: EncodedText, split: str, vocabulary: Vocabulary, *, skip: bool = False
) -> SplitIds:
    """The ids (n,) of a split in another vocabulary.

    Args:
        skip: leave out the characters that the other vocabulary lacks, rather than refuse them.

    Raises:
        InputError: the split holds such a character.
    """
    ids = data.unread(split)
    if data.vocabulary == vocabulary:
        return ids
    theirs = {c: i for i, c in enumerate(vocabulary.characters)}
    table = np.array([theirs.get(c, -1) for c in data.vocabulary.characters])
    if (table < 0).any():

        def pieces() -> Iterator[Ids]:
            for start in range(0, len(ids), BLOCK):
                part = ids[start : start + BLOCK]
                lacking = part[table[part] < 0]
                if lacking.size and not skip:
                    raise InputError(
                        f"{data.path}: its {split} split holds "
                        f"{data.vocabulary.characters[lacking[0]]!r}, which is not among the "
                        f"{len(vocabulary)} characters of the model; unknown=skip leaves it out"
                    )
                data.release()
                yield table[part]

        return SplitIds.known(pieces(), len(vocabulary))
    return SplitIds(ids.stored, lambda part: table[ids.convert(part)], data.release)


def encoded_text(
    input_txt: str | list[str], encoding: str, vocabulary: Vocabulary, *, skip: bool
) -> SplitIds:
    """The ids (n,) of a text (see `charrnn.text.sources.find_files`) in a vocabulary.

    Args:
        skip: leave out the characters that the vocabulary lacks, rather than refuse them.

    Raises:
        InputError: the text cannot be read, is empty, or (without `skip`) holds such a character.
    """

    def encode(piece: str) -> Ids:
        try:
            return vocabulary.encode(piece)
        except InputError as error:
            name = shown(", ".join(names_of(input_txt)))
            raise InputError(f"data.input_txt={name}: {error}, or give unknown=skip") from None

    pieces = read_pieces(input_txt, encoding)
    return SplitIds.known(map(vocabulary.look_up if skip else encode, pieces), len(vocabulary))
