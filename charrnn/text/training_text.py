"""The text that a model was trained on, and how much of another text stands in it.

The passages of a text in the order of a dictionary are its suffix array; a look-up is a binary
search in it, some 15 microseconds in a text of any size. libdivsufsort (of the extra ``novelty``)
makes the array when it is first needed, in half a second for 5 MB; it takes four bytes of memory
for each byte of the text.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.data import BLOCK, EncodedText, open_data, training_data
from charrnn.errors import InputError, needing, short
from charrnn.text.sources import read_pieces


class TrainingText:
    """A text that says quickly whether a passage stands in it. Safe to share between threads.

    A passage is found where its UTF-8 is found, since no character's bytes stand within those of
    others. Of a model of bytes a character is a byte, as `Vocabulary.decode` gives them.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._bytes = _utf8(text)
        self._lock = threading.Lock()

    def __contains__(self, passage: object) -> bool:
        return isinstance(passage, str) and self.count(passage) > 0

    def count(self, passage: str) -> int:
        """How often a passage of one character or more stands in it; occurrences may overlap."""
        return self._count(_utf8(passage))

    def longest_matches(self, text: str) -> npt.NDArray[np.int64]:
        """For each character, how many up to and with it stand in the training text in a row.

        The longest match that ends at a character begins nowhere before the one that ends at the
        character before it, so that two look-ups a character are enough on average.

        Returns:
            (n,): that the last k of the characters up to number j stand in the training text is
            true for every k up to number j of these, and for no larger one.
        """
        found = np.empty(len(text), np.int64)
        sizes = [len(_utf8(character)) for character in text]
        match, first = bytearray(), 0  # the match, and the character with which it begins
        for last, character in enumerate(text):
            match += _utf8(character)
            while match and not self._count(bytes(match)):
                del match[: sizes[first]]
                first += 1
            found[last] = last + 1 - first
        return found

    def _count(self, passage: bytes) -> int:
        if not 0 < len(passage) <= len(self._bytes):
            return 0
        with self._lock:
            suffixes = self._suffixes
        from pydivsufsort import sa_search

        return int(sa_search(self._bytes, suffixes, passage)[0])

    @cached_property
    def _suffixes(self) -> npt.NDArray[np.int32]:
        """The suffix array (bytes of the text,)."""
        with needing("novelty: needs pydivsufsort", "novelty"):
            from pydivsufsort import divsufsort
        suffixes: npt.NDArray[np.int32] = divsufsort(self._bytes)
        return suffixes


def find_training_text(
    facts: Mapping[str, Any],
    encoding: str,
    corpus: str | None = None,
    splits: Sequence[str] = ("train",),
) -> TrainingText:
    """Return the text that a model was trained on.

    Args:
        facts: the model's record of its training, which names its data.
        encoding: of the model's text.
        corpus: a text file, of which everything counts, or an HDF5 file beside its JSON. None:
            the data that the facts name.
        splits: the splits of the data that count.

    Raises:
        InputError: the text is missing or cannot be read.
    """
    try:
        if corpus is None:
            return TrainingText(_decoded(training_data(facts), splits))
        path = Path(corpus)
        if path.suffix in (".h5", ".hdf5"):
            return TrainingText(_decoded(open_data(path, path.with_suffix(".json")), splits))
        return TrainingText("".join(read_pieces(corpus, encoding)))
    except InputError as error:
        if corpus is None:
            raise InputError(
                f"corpus=null: the text that the model was trained on is not at hand; "
                f"give corpus=, its text ({error})"
            ) from None
        what = str(error).removeprefix(f"{corpus}: ")
        raise InputError(f"corpus={short(corpus)}: {what}") from None


def corpus_name(facts: Mapping[str, Any]) -> str | None:
    """Return the name of the text that a model was trained on, without its folder and ending."""
    path = facts.get("input_h5")
    # in the cache a name ends in the digest of the text's place and options
    return re.sub("-[0-9a-f]{16}$", "", Path(path).stem) if isinstance(path, str) else None


def _decoded(data: EncodedText, splits: Sequence[str]) -> str:
    code_points = np.array([ord(c) for c in data.vocabulary.characters], "<u4")
    pieces = []
    for split in splits:
        ids = data.unread(split)
        for start in range(0, len(ids), BLOCK):
            points = code_points[ids[start : start + BLOCK]]
            pieces.append(points.tobytes().decode("utf-32-le", "surrogatepass"))
    return "".join(pieces)


def _utf8(text: str) -> bytes:
    """UTF-8, in which a lone surrogate (a byte, in a vocabulary of bytes) has three bytes."""
    return text.encode("utf-8", "surrogatepass")
