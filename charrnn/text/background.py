"""Other texts of a language, whose characters are counted beside those of a small text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.data import BLOCK, EncodedText, Ids
from charrnn.say import say
from charrnn.text.corpora import CORPORA, fetch_corpus
from charrnn.text.sources import read_pieces
from charrnn.text.vocabulary import Vocabulary

# what stands in two texts, so many characters in a row, was hardly written twice
PASSAGE = 32
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Background:
    """Texts that are read in the characters of another.

    Attributes:
        names: files, folders and globs, each as `charrnn.text.sources.find_files` takes it, and
            corpora by their names.
        encoding: of the files.
        vocabulary: of the other text.
        earlier: the text of the model that a training starts from; its training split comes last.
    """

    names: list[str]
    encoding: str
    vocabulary: Vocabulary
    earlier: EncodedText | None = None

    def __str__(self) -> str:
        return ", ".join([*self.names, *([str(self.earlier.path)] if self.earlier else [])])

    @cached_property
    def fingerprint(self) -> str | None:
        """A hash of what the names stand for, which is read whole; None without names.

        Raises:
            InputError: a text is missing, empty, damaged or not in the encoding.
        """
        digest = hashlib.sha256()
        for piece in self._named():
            digest.update(piece.encode("utf-8", "surrogatepass"))
        return digest.hexdigest() if self.names else None

    def read_ids(self, most: int) -> Ids:
        """The first characters (n,), n <= `most`, without those that the vocabulary lacks."""
        found, n = [np.empty(0, np.int64)], 0
        for piece in chain(self._named(), self._earlier()):
            ids = self.vocabulary.look_up(piece)
            found.append(ids[ids >= 0][: most - n])
            n += len(found[-1])
            if n == most:
                break
        return np.concatenate(found)

    def _named(self) -> Iterator[str]:
        for name in self.names:
            file = str(fetch_corpus(name, say)) if name in CORPORA else name
            is_utf8 = name in CORPORA and self.encoding != "bytes"
            yield from read_pieces([file], "utf-8" if is_utf8 else self.encoding)

    def _earlier(self) -> Iterator[str]:
        if self.earlier is not None:
            ids = self.earlier.get_split("train")
            for start in range(0, len(ids), BLOCK):
                yield self.earlier.vocabulary.decode(ids[start : start + BLOCK].tolist())


def remove_shared_passages(ids: Ids, other: Ids) -> Ids:
    """Ids (n,) without the passages of `PASSAGE` characters that another text (m,) has too."""
    if min(len(ids), len(other)) < PASSAGE:
        return ids
    begins = np.isin(_passages(ids), _passages(other))
    before = np.append(0, begins.cumsum())  # passages that begin before each place
    places = np.arange(len(ids))
    last, first = np.minimum(places + 1, len(begins)), np.maximum(places - PASSAGE + 1, 0)
    return ids[before[last] == before[first]]


def _passages(ids: Ids) -> npt.NDArray[Any]:
    """(n - PASSAGE + 1,), a number for the passage that begins at each place."""
    numbers = np.zeros(len(ids) - PASSAGE + 1, np.uint64)
    for k in range(PASSAGE):
        numbers *= _FACTOR
        numbers += ids[k : k + len(numbers)].astype(np.uint64)
    return numbers
