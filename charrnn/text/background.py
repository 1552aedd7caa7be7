"""Other texts in the language of a small text, which are counted together with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.data import EncodedText, Ids
from charrnn.text.kinds import is_code
from charrnn.text.sources import read_pieces
from charrnn.text.vocabulary import Vocabulary

# A passage of this many characters that is in two texts was copied from one to the other.
PASSAGE = 32
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Background:
    """Other texts, encoded with the vocabulary of the training text."""

    names: list[str]  # corpora, or files, folders and globs as in `charrnn.text.sources.find_files`
    encoding: str  # the encoding of the files
    vocabulary: Vocabulary  # the vocabulary of the training text
    wrap: str = "keep"  # as in `charrnn.text.sources.decode_files`
    # the text of the model from which training starts. Its training split is read last.
    earlier: EncodedText | None = None

    def __str__(self) -> str:
        return ", ".join([*self.names, *([str(self.earlier.path)] if self.earlier else [])])

    @property
    def fingerprint(self) -> str | None:
        """A hash of the named texts, all of which are read; None without names."""
        digest = hashlib.sha256()
        for piece in self._read_named():
            digest.update(piece.encode("utf-8", "surrogatepass"))
        return digest.hexdigest() if self.names else None

    def read_ids(self, limit: int) -> Ids:
        """Return the first ids (n,), n <= `limit`, without unknown characters."""
        pieces, n = [np.empty(0, np.int64)], 0
        earlier = () if self.earlier is None else self.earlier.decode_split("train")
        for text in chain(self._read_named(), earlier):
            ids = self.vocabulary.look_up(text)
            pieces.append(ids[ids >= 0][: limit - n])
            n += len(pieces[-1])
            if n == limit:
                break
        return np.concatenate(pieces)

    def _read_named(self) -> Iterator[str]:
        if self.names:
            yield from read_pieces(self.names, self.encoding, self.wrap)


def is_prose(text: EncodedText) -> bool:
    """Return whether a text is neither a list nor code."""
    return not text.is_list and not is_code(next(text.decode_split("train"), ""))


def remove_shared_passages(ids: Ids, other: Ids) -> Ids:
    """Remove from ids (n,) all passages of `PASSAGE` characters that `other` (m,) contains."""
    if min(len(ids), len(other)) < PASSAGE:
        return ids
    is_shared = np.isin(_hash_passages(ids), _hash_passages(other))
    num_shared = np.append(0, is_shared.cumsum())  # shared passages that start before a position
    positions = np.arange(len(ids))
    last = np.minimum(positions + 1, len(is_shared))
    first = np.maximum(positions - PASSAGE + 1, 0)
    return ids[num_shared[last] == num_shared[first]]


def _hash_passages(ids: Ids) -> npt.NDArray[Any]:
    """Return a hash (n - PASSAGE + 1,) of the passage that starts at each position of ids (n,)."""
    hashes = np.zeros(len(ids) - PASSAGE + 1, np.uint64)
    for k in range(PASSAGE):
        hashes *= _HASH_FACTOR
        hashes += ids[k : k + len(hashes)].astype(np.uint64)
    return hashes
