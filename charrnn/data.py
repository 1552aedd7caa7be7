"""Encoded text: the ids of its splits, their vocabulary, and the streams that are trained on.

The HDF5 file is mapped, not read: what is asked for is copied when it is asked for, and a
corpus larger than the memory is no different from a small one. NumPy and h5py only.

    split (n,)  ->  N rows of L = (n - 1) // N  ->  window k: columns kT .. (k+1)T

Row r of the streams is ``ids[r * L : (r + 1) * L]`` and its targets are the same one
character on, so each window continues the one before it, and the state of the network
can be carried from one to the next (torch-rnn's DataLoader.lua cuts the text so too).
`Streams.shuffled` begins at another place of the text, and changes the order of the rows.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, format_reason, shorten
from charrnn.files import require_regular_file
from charrnn.options.datasets import SPLITS
from charrnn.text.sorted_lists import LIST_MARK
from charrnn.text.sources import as_name_list, read_pieces
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
        is_list: whether it is a list, whose lines were shuffled.
    """

    path: Path
    json_path: Path
    vocabulary: Vocabulary
    splits: dict[str, FileIds]
    is_list: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """A hash of vocabulary, sizes and ids (all of a small corpus, 64 MB spread over a large).

        It does not depend on how the ids are stored.
        """
        digest = hashlib.sha256("\0".join(self.vocabulary.tokens()).encode("utf-8", "replace"))
        for name in SPLITS:
            ids = self.splits[name]
            digest.update(f"{name} {len(ids)}\n".encode())
            starts = range(0, len(ids), BLOCK)
            if len(starts) > FINGERPRINT_BLOCKS:
                starts = np.linspace(0, len(ids) - BLOCK, FINGERPRINT_BLOCKS, dtype=int).tolist()
            for start in starts:
                digest.update(ids[start : start + BLOCK].astype(np.uint32).data)
        return digest.hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """Where it lies, and what it is, by which `same_training_data` finds it again."""
        return {
            "input_h5": str(self.path.resolve()),
            "input_json": str(self.json_path.resolve()),
            "fingerprint": self.fingerprint,
            "is_list": self.is_list,
        }

    def get_split(self, split: str) -> SplitIds:
        """The ids of a split, read piece by piece.

        An id that is not one of the vocabulary's is an InputError when it is reached.
        """
        size, path = len(self.vocabulary), self.path
        return SplitIds(self.splits[split], lambda part: from_file_ids(part, size, path))


@dataclass(frozen=True)
class SplitIds:
    """Ids (n,) from 0 that are converted as they are read: n may be larger than the memory.

    Attributes:
        stored: (n,), as they lie in a file or in memory.
        convert: makes ids from 0 of a part of them, of any shape.
        num_unknown: characters of the text that are left out, since the vocabulary lacks them.
    """

    stored: FileIds
    convert: Callable[[FileIds], Ids] = lambda part: part.astype(np.int64)
    num_unknown: int = 0

    @classmethod
    def from_pieces(cls, pieces: Iterable[Ids], vocabulary_size: int) -> SplitIds:
        """Ids that come in pieces, kept in memory, without those that are -1."""
        dtype, buffer, unknown = np.min_scalar_type(vocabulary_size - 1), bytearray(), 0
        for piece in pieces:
            ids = piece[piece >= 0].astype(dtype)
            unknown += len(piece) - len(ids)
            buffer += ids.tobytes()
        return cls(np.frombuffer(buffer, dtype), num_unknown=unknown)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, part: slice) -> Ids:
        return self.convert(self.stored[part])


def from_file_ids(file_ids: FileIds, vocabulary_size: int, path: Path) -> Ids:
    """Ids from 0 of ids as files hold them.

    Raises:
        InputError: an id is not one of the vocabulary's.
    """
    ids = file_ids.astype(np.int64)
    ids -= FIRST_FILE_ID
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= vocabulary_size):
        invalid = ids[(ids < 0) | (ids >= vocabulary_size)][0] + FIRST_FILE_ID
        raise InputError(
            f"{path}: holds the id {invalid}, and its vocabulary has the ids 1 to "
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
        with h5py.File(h5, "r") as file:
            splits = {name: _split(file, name, h5) for name in SPLITS}
            is_list = bool(file.attrs.get(LIST_MARK))
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        reason = format_reason(error)
        raise InputError(
            f"{shorten(h5)}: not a preprocessed text ({reason}); `charrnn preprocess` makes one"
        ) from None
    if sum(len(ids) for ids in splits.values()) <= CHECKED:
        for ids in splits.values():
            for start in range(0, len(ids), BLOCK):
                from_file_ids(ids[start : start + BLOCK], len(vocabulary), h5)
    return EncodedText(h5, json, vocabulary, splits, is_list)


def open_training_data(facts: Mapping[str, Any]) -> EncodedText:
    """Open the data that a model was trained on, which its facts name.

    Raises:
        InputError: they name none, it is gone, or it is another text by now.
    """
    h5, json = facts.get("input_h5"), facts.get("input_json")
    if not isinstance(h5, str) or not isinstance(json, str):
        raise InputError("the model does not say what it was trained on")
    data = open_data(Path(h5), Path(json))
    if facts.get("fingerprint", data.fingerprint) != data.fingerprint:
        raise InputError(
            f"{shorten(h5)}: holds another text, or other splits, than the model's own"
        )
    return data


def find_training_data(facts: Mapping[str, Any]) -> EncodedText | None:
    """The data that a model was trained on, if it is still what it was.

    Whoever made a model chose the places that it names. Only what has the fingerprint that the
    model holds is taken, and who knows that of a text has the text.
    """
    with contextlib.suppress(InputError):
        if "fingerprint" in facts:
            return open_training_data(facts)
    return None


def _split(file: h5py.File, name: str, h5: Path) -> FileIds:
    """The ids (n,) of a split: mapped, or read where they are chunked or compressed.

    They must lie in this very file. HDF5 can also point to any other file of the machine; whoever
    made this file would then choose what is read and learnt from.
    """
    if isinstance(file.get(name, getlink=True), (h5py.ExternalLink, h5py.SoftLink)):
        raise ValueError(f"/{name} is a link; the ids must lie in the file itself")
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"it has no dataset /{name}")
    if dataset.external or dataset.is_virtual:
        kind = "a virtual dataset" if dataset.is_virtual else "in external storage"
        raise ValueError(f"/{name} is {kind}; the ids must lie in the file itself")
    if dataset.ndim != 1 or dataset.dtype.kind not in "ui":
        raise ValueError(f"/{name} is no row of whole numbers")
    offset = dataset.id.get_offset()
    if offset is not None and dataset.id.get_storage_size() == dataset.nbytes > 0:
        return np.asarray(np.memmap(h5, dataset.dtype, "r", offset, (len(dataset),)))
    # deflate packs at most about 1000 to 1, so a size beyond that is a damaged header
    if dataset.nbytes > 2000 * h5.stat().st_size:
        raise ValueError(f"/{name} claims {len(dataset)} ids, more than the file can hold")
    ids: FileIds = dataset[:]
    return ids


def translate_split(
    data: EncodedText, split: str, vocabulary: Vocabulary, *, skip: bool = False
) -> SplitIds:
    """The ids (n,) of a split in another vocabulary.

    A character that the other vocabulary lacks is an InputError when it is reached.

    Args:
        skip: leave out such characters, rather than refuse them.
    """
    ids = data.get_split(split)
    if data.vocabulary == vocabulary:
        return ids
    characters = data.vocabulary.characters
    id_of = {c: i for i, c in enumerate(vocabulary.characters)}
    table = np.array([id_of.get(c, -1) for c in characters])

    def convert(stored: FileIds) -> Ids:
        own = ids.convert(stored)
        found: Ids = table[own]
        if (found < 0).any():
            raise InputError(
                f"{data.path}: its {split} split holds {characters[own[found < 0][0]]!r}, which is "
                f"not among the {len(vocabulary)} characters of the model; unknown=skip leaves it "
                "out"
            )
        return found

    if skip and (table < 0).any():
        blocks = (table[ids[start : start + BLOCK]] for start in range(0, len(ids), BLOCK))
        return SplitIds.from_pieces(blocks, len(vocabulary))
    return SplitIds(ids.stored, convert)


def encode_text(
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
            name = shorten(", ".join(as_name_list(input_txt)))
            raise InputError(f"data.input_txt={name}: {error}, or give unknown=skip") from None

    pieces = read_pieces(input_txt, encoding)
    return SplitIds.from_pieces(
        map(vocabulary.look_up if skip else encode, pieces), len(vocabulary)
    )


@dataclass(frozen=True)
class Streams:
    """A split as N parallel streams, and the windows that they are trained in.

    The split is a ring: a stream that reaches its end goes on at its beginning.

    Attributes:
        ids: (n,) as files hold them; nothing is copied before a window is asked for.
        starts: (N,) where in them each stream begins.
        length: L, the characters that a stream is trained on; its last target is one further.
        seq_length: T, the columns of a window.
    """

    ids: FileIds
    starts: Ids
    length: int
    seq_length: int
    vocabulary_size: int
    path: Path

    @property
    def batch_size(self) -> int:
        return len(self.starts)

    @property
    def num_windows(self) -> int:
        """Whole windows in an epoch; a last partial one is not trained on."""
        return self.length // self.seq_length

    def read_windows(self, first: int, last: int) -> Ids:
        """Windows `first` to `last` of an epoch, from 0: (N, (last - first) * T + 1)."""
        start, width = first * self.seq_length, (last - first) * self.seq_length + 1
        block = np.empty((self.batch_size, width), self.ids.dtype)
        for row, begin in zip(block, self.starts, strict=True):
            at = (begin + start) % len(self.ids)
            before_end = self.ids[at : at + width]
            row[: len(before_end)] = before_end
            row[len(before_end) :] = self.ids[: width - len(before_end)]
        return from_file_ids(block, self.vocabulary_size, self.path)

    def shuffle(self, seed: int, epoch: int) -> Streams:
        """The same text as other streams: cut from a random place on, in a random order.

        Windows of one epoch then begin and end elsewhere than those of another.
        """
        random = np.random.default_rng([seed, epoch])
        offset = random.integers(len(self.ids))
        return replace(self, starts=random.permutation((self.starts + offset) % len(self.ids)))

    def select_rank(self, rank: int, world_size: int) -> Streams:
        """The streams of one process out of several: N / world_size neighbouring rows."""
        each = self.batch_size // world_size
        return replace(self, starts=self.starts[rank * each : (rank + 1) * each])


def fit_sizes(size: int, batch_size: int, seq_length: int) -> tuple[int, int]:
    """Batch size and window length that `size` characters suffice for.

    They are what was asked for wherever one window of it can be cut; else the number
    of streams shrinks first, then the window.

    Raises:
        ValueError: there is no pair of characters to learn from.
    """
    if size < 2:
        raise ValueError("a training split needs at least 2 characters")
    batch_size = min(batch_size, max(1, (size - 1) // seq_length))
    return batch_size, min(seq_length, (size - 1) // batch_size)


def cut_streams(data: EncodedText, split: str, batch_size: int, seq_length: int) -> Streams:
    """Cut a split into `batch_size` streams with windows of `seq_length` characters."""
    ids = data.splits[split]
    length = (len(ids) - 1) // batch_size
    starts = np.arange(batch_size) * length
    return Streams(ids, starts, length, seq_length, len(data.vocabulary), data.path)
