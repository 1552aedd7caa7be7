"""Encoded text: the ids of its splits, their vocabulary, and the streams for training.

The HDF5 file is memory-mapped, so that a corpus may be larger than the memory. This file needs
NumPy and h5py only.

    split (n,)  ->  N rows of L = (n - 1) // N  ->  window k: columns kT .. (k+1)T

Row r of the streams is ``ids[r * L : (r + 1) * L]``, and its targets are the ids one character
later. Each window continues the previous one, so that the state of the network can be carried
from window to window (as in torch-rnn's DataLoader.lua). `Streams.shuffle` cuts the text at other
positions and changes the order of the rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
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
from charrnn.text.kinds import LIST_MARK
from charrnn.text.vocabulary import FIRST_FILE_ID, Vocabulary
from charrnn.text.wrap import WRAP_FACT, get_wrap

FileIds = npt.NDArray[Any]  # (n,), an unsigned or signed integer type, counted from 1
Ids = npt.NDArray[np.int64]  # counted from 0

BLOCK = 1 << 20  # ids


@dataclass(frozen=True)
class EncodedText:
    """A preprocessed corpus: its vocabulary, and the ids of its splits as in the file."""

    path: Path
    json_path: Path
    vocabulary: Vocabulary
    # the ids (n,) of train, val and test, counted from 1, memory-mapped if possible
    splits: dict[str, FileIds]
    is_list: bool = False  # whether the text is a list, whose lines were shuffled
    wrap: str = "keep"  # join if the text is prose whose lines were joined

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the vocabulary, the sizes and the ids. It does not depend on their storage."""
        digest = hashlib.sha256("\0".join(self.vocabulary.to_tokens()).encode("utf-8", "replace"))
        for name in SPLITS:
            ids = self.splits[name]
            digest.update(f"{name} {len(ids)}\n".encode())
            for start in range(0, len(ids), BLOCK):
                digest.update(ids[start : start + BLOCK].astype(np.uint32).data)
        return digest.hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """The paths and the fingerprint, with which `find_training_data` finds the data again."""
        return {
            "input_h5": str(self.path.resolve()),
            "input_json": str(self.json_path.resolve()),
            "fingerprint": self.fingerprint,
            LIST_MARK: self.is_list,
            WRAP_FACT: self.wrap,
        }

    def get_split(self, split: str) -> SplitIds:
        return SplitIds(self.splits[split])

    def decode_split(self, split: str) -> Iterator[str]:
        """Yield the text of a split in pieces."""
        code_points = np.array([ord(c) for c in self.vocabulary.characters], "<u4")
        for ids in self.get_split(split).read_blocks():
            yield code_points[ids].tobytes().decode("utf-32-le", "surrogatepass")


@dataclass(frozen=True)
class SplitIds:
    """The ids (n,) of a split, which may exceed the memory."""

    stored: FileIds  # as in the file, counted from 1; converted when they are read

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, part: slice | npt.NDArray[np.int64]) -> Ids:
        ids = self.stored[part].astype(np.int64)
        ids -= FIRST_FILE_ID
        return ids

    def read_blocks(self) -> Iterator[Ids]:
        """Yield all ids in blocks of `BLOCK`."""
        for start in range(0, len(self), BLOCK):
            yield self[start : start + BLOCK]


def open_data(h5: Path, json: Path) -> EncodedText:
    """Open an HDF5 file and its vocabulary. Raise InputError if a file is missing or invalid."""
    vocabulary = Vocabulary.read_json(json)
    require_regular_file(h5, "`charrnn preprocess` makes it from a text")
    try:
        with h5py.File(h5, "r") as file:
            splits = {name: _open_split(file, name, h5) for name in SPLITS}
            is_list, wrap = bool(file.attrs.get(LIST_MARK)), get_wrap(file.attrs)
            is_pair = vocabulary.is_of(file.attrs)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        reason = format_reason(error)
        raise InputError(
            f"{shorten(h5)}: not a preprocessed text ({reason}); `charrnn preprocess` makes one"
        ) from None
    if not is_pair:
        raise InputError(
            f"{shorten(h5)}: its vocabulary is not {shorten(json)}; give the JSON that "
            "`charrnn preprocess` wrote with it, or preprocess the text again"
        )
    size = len(vocabulary)
    for ids in (ids for split in splits.values() for ids in SplitIds(split).read_blocks()):
        if ids.min() < 0 or ids.max() >= size:
            invalid = ids[(ids < 0) | (ids >= size)][0] + FIRST_FILE_ID
            raise InputError(
                f"{shorten(h5)}: contains the id {invalid}, but its vocabulary has the ids 1 to "
                f"{size}; preprocess the text again, or give the JSON that belongs to it"
            )
    return EncodedText(h5, json, vocabulary, splits, is_list, wrap)


def open_training_data(facts: Mapping[str, Any]) -> EncodedText:
    """Open the data on which a model was trained, whose paths are in the model's facts.

    The paths are not trusted: the author of a model file could name any file of this machine. They
    are used only if the fingerprint matches, which the author can know only with the same text.
    Otherwise, and if a path or the text is missing, raise InputError.
    """
    h5, json, fingerprint = map(facts.get, ("input_h5", "input_json", "fingerprint"))
    if not (isinstance(h5, str) and isinstance(json, str) and isinstance(fingerprint, str)):
        raise InputError("the model does not name its training data with a fingerprint")
    data = open_data(Path(h5), Path(json))
    if fingerprint != data.fingerprint:
        raise InputError(
            f"{shorten(h5)}: contains another text, or other splits, than the model was trained on"
        )
    return data


def read_training_text(facts: Mapping[str, Any], splits: Iterable[str]) -> str:
    """Return these splits of the text on which a model was trained, as `open_training_data`."""
    data = open_training_data(facts)
    return "".join(piece for split in splits for piece in data.decode_split(split))


def get_corpus_name(facts: Mapping[str, Any]) -> str | None:
    """Return the name of a model's training text, without folder and extension."""
    path = facts.get("input_h5")
    # The names of files in the cache end in a digest.
    return re.sub("-[0-9a-f]{16}$", "", Path(path).stem) if isinstance(path, str) else None


def find_training_data(facts: Mapping[str, Any]) -> EncodedText | None:
    """Return the data on which a model was trained; None if it is missing or has changed."""
    with contextlib.suppress(InputError):
        return open_training_data(facts)
    return None


def _open_split(file: h5py.File, name: str, h5: Path) -> FileIds:
    """Map the ids (n,) of a split, or read them if they are chunked or compressed.

    The ids must be in this file. HDF5 files can also refer to other files, so that the author of
    this file could have any file of the machine read and learned.
    """
    if isinstance(file.get(name, getlink=True), (h5py.ExternalLink, h5py.SoftLink)):
        raise ValueError(f"/{name} is a link; the ids must be in the file itself")
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"it has no dataset /{name}")
    if dataset.external or dataset.is_virtual:
        kind = "a virtual dataset" if dataset.is_virtual else "in external storage"
        raise ValueError(f"/{name} is {kind}; the ids must be in the file itself")
    if dataset.ndim != 1 or dataset.dtype.kind not in "ui":
        raise ValueError(f"/{name} is not a one-dimensional array of integers")
    offset = dataset.id.get_offset()
    if offset is not None and dataset.id.get_storage_size() == dataset.nbytes > 0:
        return np.asarray(np.memmap(h5, dataset.dtype, "r", offset, (len(dataset),)))
    # deflate compresses to a thousandth at best, so a larger size is a damaged header.
    if dataset.nbytes > 2000 * h5.stat().st_size:
        raise ValueError(f"/{name} has {len(dataset)} ids, more than fit into the file")
    return dataset[:]


def encode_split(data: EncodedText, split: str, vocabulary: Vocabulary) -> Ids | SplitIds:
    """Return the ids (n,) of a split in a vocabulary. Raise InputError for an unknown character."""
    if data.vocabulary == vocabulary:
        return data.get_split(split)
    return encode_pieces(data.decode_split(split), vocabulary, f"{data.path}: {split}")


def encode_pieces(pieces: Iterable[str], vocabulary: Vocabulary, name: str) -> Ids:
    """Return the ids (n,) of a text of this name, which is in pieces, in a vocabulary.

    A character that the vocabulary lacks raises InputError.
    """
    text = "".join(pieces)
    try:
        return vocabulary.encode(text)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


@dataclass(frozen=True)
class Streams:
    """A split as N parallel streams, which are divided into windows.

    A stream that reaches the end of the split continues at its start.
    """

    ids: SplitIds  # the ids (n,) of the split
    starts: Ids  # the position (N,) in `ids` at which each stream starts
    length: int  # L, the input characters of a stream; its last target is one character later
    seq_length: int  # T, the columns of a window

    @property
    def batch_size(self) -> int:
        return len(self.starts)

    def __len__(self) -> int:
        """Return the number of complete windows in an epoch; an incomplete one is not used."""
        return self.length // self.seq_length

    def read_windows(self, first: int, last: int) -> Ids:
        """Return the windows `first` to `last` - 1 of an epoch: (N, (last - first) * T + 1)."""
        columns = np.arange(first * self.seq_length, last * self.seq_length + 1)
        return self.ids[(self.starts[:, None] + columns) % len(self.ids)]

    def shuffle(self, seed: int, epoch: int) -> Streams:
        """Return other streams of the same split: cut at a random offset, in a random order.

        The boundaries of windows then differ from epoch to epoch.
        """
        random = np.random.default_rng([seed, epoch])
        offset = random.integers(len(self.ids))
        return replace(self, starts=random.permutation((self.starts + offset) % len(self.ids)))

    def select_rank(self, rank: int, world_size: int) -> Streams:
        """Return the streams of a rank: N / world_size neighboring rows."""
        num_rows = self.batch_size // world_size
        return replace(self, starts=self.starts[rank * num_rows : (rank + 1) * num_rows])


def fit_sizes(size: int, batch_size: int, seq_length: int) -> tuple[int, int]:
    """Reduce the batch size, then the window length, until `size` >= 2 characters fill a window."""
    batch_size = min(batch_size, max(1, (size - 1) // seq_length))
    return batch_size, min(seq_length, (size - 1) // batch_size)


def cut_streams(data: EncodedText, split: str, batch_size: int, seq_length: int) -> Streams:
    """Cut a split into `batch_size` streams with windows of `seq_length` characters."""
    ids = data.get_split(split)
    length = (len(ids) - 1) // batch_size
    return Streams(ids, np.arange(batch_size) * length, length, seq_length)
