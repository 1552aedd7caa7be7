"""A training text that says quickly whether a passage stands in it, and where.

The passages of a text in the order of a dictionary are its suffix array; a look-up is a binary
search in it, some 15 microseconds in a text of any size. The array is made by libdivsufsort (of
the extra ``novelty``) when it is first needed, in half a second for 5 MB, and takes four bytes
of memory for each byte of the text. It is not kept on disk: reading it would save little.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charrnn.data import BLOCK, EncodedText, open_data, training_data
from charrnn.errors import InputError, needing, shown
from charrnn.models.ensemble import Trained
from charrnn.text.preprocessing import read_pieces
from charrnn.text.vocabulary import readable

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Passage:
    """A passage that a text has in common with the training text.

    Attributes:
        text: the passage itself.
        start: its first character in the text that was looked at, from 0.
        place: its first character where the training text first has it, from 0.
        line: the line of the training text in which that character stands, from 1.
        count: how often the training text has it; occurrences may overlap.
    """

    text: str
    start: int
    place: int
    line: int
    count: int


class TrainingText:
    """The text that a model was trained on. Safe to share between threads.

    A passage is found where its UTF-8 is found, since no character's bytes stand within those of
    others. Of a model of bytes a character is a byte, as `Vocabulary.decode` gives them.

    Args:
        text: the training text.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._bytes = _utf8(text)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.text)

    def __contains__(self, passage: object) -> bool:
        return isinstance(passage, str) and self._count(_utf8(passage)) > 0

    @cached_property
    def lines(self) -> frozenset[str]:
        """Its lines, each once, without white space at their ends. Needs no extra."""
        return frozenset(line.rstrip() for line in self.text.split("\n"))

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words, each once, without regard to case (`str.casefold`). Needs no extra."""
        return frozenset(word.casefold() for word in set(words_of(self.text)))

    def find(self, passage: str, start: int = 0) -> Passage | None:
        """Where a passage first stands in the training text; None if it does not.

        Args:
            start: what is told as `Passage.start`.
        """
        count = self._count(_utf8(passage))
        if not count:
            return None
        place = self.text.find(passage)
        return Passage(passage, start, place, self.text.count("\n", 0, place) + 1, count)

    def longest_matches(self, text: str) -> npt.NDArray[np.int64]:
        """For each character, how many up to and with it stand in the training text in a row.

        Returns:
            (n,): that the last k of the characters up to number j stand in the training text is
            true for every k up to number j of these, and for no larger one.
        """
        return np.fromiter(self.matches_so_far(text), np.int64, len(text))

    def matches_so_far(self, text: Iterable[str]) -> Iterator[int]:
        """As `longest_matches`, character by character as a text is written.

        The longest match that ends at a character begins nowhere before the one that ends
        at the character before it. Two look-ups a character are thus enough on average.
        """
        match, sizes = bytearray(), []
        first = 0  # of `sizes`: where the match begins
        for character in text:
            added = _utf8(character)
            match += added
            sizes.append(len(added))
            while match and not self._count(bytes(match)):
                del match[: sizes[first]]
                first += 1
            yield len(sizes) - first

    def longest_copy(
        self, text: str, matches: npt.NDArray[np.int64] | None = None
    ) -> Passage | None:
        """The longest passage of a text that stands in the training text, the first of several.

        Args:
            matches: the text's `longest_matches`, where they are known already.

        Returns:
            None where the two have not a single character in common.
        """
        matches = self.longest_matches(text) if matches is None else matches
        length = int(matches.max(initial=0))
        if not length:
            return None
        end = int(matches.argmax()) + 1
        return self.find(text[end - length : end], end - length)

    def _count(self, passage: bytes) -> int:
        """How often some bytes stand in the training text's."""
        if not 0 < len(passage) <= len(self._bytes):
            return 0 if passage else len(self.text) + 1
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


def words_of(text: str) -> list[str]:
    """The words of a text: letters, and apostrophes between them.

    Of a text in bytes (see `charrnn.text.vocabulary`) the words of the characters that they are.
    """
    return _WORD.findall(readable(text))


def _utf8(text: str) -> bytes:
    """UTF-8, in which a lone surrogate (a byte, in a vocabulary of bytes) has three bytes."""
    return text.encode("utf-8", "surrogatepass")


def find_training_text(trained: Trained, corpus: str | None = None) -> TrainingText:
    """The text that a model was trained on.

    Args:
        corpus: a text file, all of which counts, or an HDF5 file beside its JSON, of which the
            training split counts; by default the training split that the model's run recorded.

    Raises:
        InputError: it cannot be found or read.
    """
    if corpus is None:
        try:
            return TrainingText(_training_split(training_data(trained.facts)))
        except InputError as error:
            raise InputError(
                f"corpus=null: the text that the model was trained on is not at hand; "
                f"give corpus=, its text ({error})"
            ) from None
    try:
        return TrainingText(_text_of(corpus, trained))
    except InputError as error:
        what = str(error).removeprefix(f"{corpus}: ")
        raise InputError(f"corpus={shown(corpus)}: {what}") from None


def _text_of(corpus: str, trained: Trained) -> str:
    path = Path(corpus)
    if path.suffix in (".h5", ".hdf5"):
        return _training_split(open_data(path, path.with_suffix(".json")))
    return "".join(read_pieces(corpus, trained.encoding))


def _training_split(data: EncodedText) -> str:
    """The characters of the training split, in the order in which they were learnt."""
    code_points = np.array([ord(c) for c in data.vocabulary.characters], "<u4")
    ids = data.unread("train")
    pieces = []
    for start in range(0, len(ids), BLOCK):
        points = code_points[ids[start : start + BLOCK]]
        pieces.append(points.tobytes().decode("utf-32-le", "surrogatepass"))
    data.release()
    return "".join(pieces)
