"""Search passages in the text that a model was trained on.

A suffix array has the suffixes of a text in alphabetical order. A look-up is a binary search in
it, and takes about 15 microseconds in a text of any size. libdivsufsort (of the extra ``novelty``)
builds the array at the first look-up, in half a second for 5 MB. The array needs four bytes of
memory per byte of text.
"""

from __future__ import annotations

import threading
from functools import cached_property

import numpy as np
import numpy.typing as npt

from charrnn.errors import require_extra


class TrainingText:
    """A text with fast search for passages. Threads may share it.

    The search compares UTF-8, because the bytes of a character never occur inside other characters.
    If the vocabulary has bytes, each character is a byte as decoded by `Vocabulary.decode`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._bytes = _encode_utf8(text)
        self._lock = threading.Lock()

    def __contains__(self, passage: object) -> bool:
        return isinstance(passage, str) and self._contains_bytes(_encode_utf8(passage))

    def find_longest_matches(self, text: str) -> npt.NDArray[np.int64]:
        """Return the lengths (n,) of the longest matches that end at each character of `text`.

        Entry j is the largest k such that the training text contains text[j + 1 - k : j + 1]. The
        match for entry j + 1 cannot start before the match for entry j, so on average two look-ups
        per character are enough.
        """
        lengths = np.empty(len(text), np.int64)
        sizes = [len(_encode_utf8(character)) for character in text]
        match, first = bytearray(), 0  # the match, and the index of its first character
        for last, character in enumerate(text):
            match += _encode_utf8(character)
            while match and not self._contains_bytes(bytes(match)):
                del match[: sizes[first]]
                first += 1
            lengths[last] = last + 1 - first
        return lengths

    def _contains_bytes(self, passage: bytes) -> bool:
        if not 0 < len(passage) <= len(self._bytes):
            return False
        with self._lock:
            suffixes = self._suffixes
        from pydivsufsort import sa_search

        return bool(sa_search(self._bytes, suffixes, passage)[0])

    @cached_property
    def _suffixes(self) -> npt.NDArray[np.int32]:
        """The suffix array (bytes of the text,)."""
        with require_extra("novelty: needs pydivsufsort", "novelty"):
            from pydivsufsort import divsufsort
        suffixes: npt.NDArray[np.int32] = divsufsort(self._bytes)
        return suffixes


def _encode_utf8(text: str) -> bytes:
    """Encode a text as UTF-8; lone surrogates (bytes of a vocabulary of bytes) get three bytes."""
    return text.encode("utf-8", "surrogatepass")
