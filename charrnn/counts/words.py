"""A table of the letters of words: which letters follow those of the current word, or its end.

The table is a trie of the letters of words, without regard to case, with the symbol END after the
last letter. `charrnn.counts.tries` explains the scores of the characters that follow, which back
off to the Kneser-Ney counts. The table is silent between words. Of a longer word than the table
has, it knows only the beginning, which no END follows.

The words of a background (another text of the language) are in the table with a count of 0: they
are known, but have no score.

Node 0 is the start of a word. END follows it too, with a count of 0, because any other character
may come between words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import Arrays, Table
from charrnn.counts.tries import END, Ids, Levels, Nodes, Trie, build_levels, count_symbols
from charrnn.text.vocabulary import Vocabulary

DISCOUNT = 0.1  # D, fitted on small texts in four languages
MAX_LETTERS = 12
LONGEST_WORD = 64  # letters, in any file
MAX_ENTRIES = 30_000  # for each started 100,000 characters of the texts
UNKNOWN = -1  # the node of letters with which no word of the table starts
CUT = -2  # the node of letters after the longest beginning of a word in the table


@dataclass(frozen=True, eq=False)
class WordTable(Table):
    """The letters of words, level by level."""

    title, prefix = "words", "word_"
    columns = ("letters", "sizes", "symbols", "counts")

    # (V,), the number of each letter, from 1; 0 for all other characters. Both cases of a letter
    # have the same number.
    letters: Nodes
    sizes: Nodes  # (M,), the number of children of each node
    symbols: Nodes  # (M - 1,), the letter or END of each node but the first, in ascending order
    counts: Nodes  # (M - 1,), how often each occurs in the text; 0 if only in the background

    @classmethod
    def from_arrays(cls, vocabulary_size: int, arrays: Arrays) -> WordTable:
        """Return the table in a file. Raise ValueError or KeyError if it is invalid."""
        letters, sizes, symbols, counts = cls.read_columns(arrays)
        if not (
            len(letters) == vocabulary_size >= letters.max()
            and len(symbols) == len(counts) == sizes.sum(dtype=np.int64) == len(sizes) - 1
            and symbols.max(initial=0) <= letters.max()
        ):
            raise ValueError("its words are not a valid table")
        table = cls(letters, sizes, symbols, counts)
        if not (
            (np.diff(table.levels.keys) > 0).all()
            and (table.parents <= np.arange(len(symbols))).all()
            and not sizes[1:][symbols == END].any()
        ):
            raise ValueError("its words are not a trie")
        if len(table.firsts) > LONGEST_WORD + 3:
            raise ValueError("its words are too long")
        return table

    @cached_property
    def parents(self) -> npt.NDArray[np.int64]:
        """The parent (M - 1,) of each node but the first."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def levels(self) -> Levels:
        """The nodes but the first."""
        return Levels(self.parents * count_symbols(self.letters) + self.symbols, self.counts)

    @cached_property
    def trie(self) -> Trie:
        """The trie of the words."""
        return Trie(self.levels, 1, self.letters, self.letters == 0, DISCOUNT)

    @cached_property
    def firsts(self) -> list[int]:
        """The first node of each level, and the number of nodes."""
        firsts, first_children = [0, 1], 1 + np.append(0, self.sizes.cumsum(dtype=np.int64))
        while firsts[-1] < len(self.sizes):
            firsts.append(int(first_children[firsts[-1]]))
        return firsts

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """The nodes (W,) at which a word ends, in ascending order. The first word is empty."""
        return 1 + np.flatnonzero(self.symbols == END)

    @cached_property
    def spelled(self) -> Nodes:
        """The symbols (W, L) of each word, from its first letter to END, with -1 after it."""
        spelled = np.full((len(self.sizes), len(self.firsts) - 2), -1, np.int32)
        for depth, first in enumerate(self.firsts[1:-1]):
            end = self.firsts[depth + 2]
            spelled[first:end] = spelled[self.parents[first - 1 : end - 1]]
            spelled[first:end, depth] = self.symbols[first - 1 : end - 1]
        return spelled[self.ends]

    def extend(self, id_: int, node: int) -> int:
        """Return the node after one more character: 0 outside of words, or `UNKNOWN`, or `CUT`."""
        letter = self.letters.data[id_]
        if not letter:
            return 0
        if node < 0:
            return node
        if child := self.trie.find(node, letter):
            return child
        return UNKNOWN if self.sizes.data[node] else CUT


def number_letters(vocabulary: Vocabulary) -> Nodes:
    """Return the numbers (V,) of the letters in a vocabulary, as in `WordTable.letters`.

    Marks on letters, such as the vowel signs of Hindi, count as letters. In a vocabulary of bytes,
    0x80 to 0xFF are letters, and only ASCII has two cases.
    """
    numbers: dict[str, int] = {}
    letters = np.zeros(len(vocabulary), np.int32)
    for id_, character in enumerate(vocabulary.characters):
        is_byte = vocabulary.is_bytes and not character.isascii()
        if is_byte or unicodedata.category(character)[0] in "LM":
            letters[id_] = numbers.setdefault(character.lower(), len(numbers) + 1)
    return letters


class FoundWords(NamedTuple):
    """The words of a text that another character follows."""

    starts: Ids  # (n,), the place of the first letter
    ends: Ids  # (n,), the place after the last letter
    symbols: Nodes  # (n, L), the letters and END, with -1 after it; only letters of longer words


def find_words(ids: Ids, letters: Nodes, length: int) -> FoundWords:
    """Find the words of a text (n,).

    Args:
        letters: as in `WordTable`.
        length: L.
    """
    is_letter = np.concatenate([[False], letters[ids] > 0, [False]])
    starts = np.flatnonzero(is_letter[1:] & ~is_letter[:-1])
    ends = np.flatnonzero(is_letter[:-1] & ~is_letter[1:])
    is_whole = ends < len(ids)
    starts, ends = starts[is_whole], ends[is_whole]
    places = starts[:, None] + np.arange(length)
    # The letter number of the character after a word is END.
    symbols = letters[ids[np.minimum(places, len(ids) - 1)]]
    return FoundWords(starts, ends, np.where(places <= ends[:, None], symbols, -1))


def count_words(texts: Sequence[Ids], letters: Nodes, max_letters: int) -> WordTable | None:
    """Count the letters of words.

    Args:
        texts: the text (n,), and its background if it has one.
        letters: as in `WordTable`.
        max_letters: the most letters of a word in the table.

    Returns:
        The table. If it would have more than `MAX_ENTRIES` per 100,000 characters, as of a text
        without spaces, it contains only shorter words. None if no table is small enough, or the
        text has no letters.
    """
    if not letters[texts[0]].any():
        return None
    most = MAX_ENTRIES * -(-sum(map(len, texts)) // 100_000)
    for longest in range(max_letters, 0, -1):
        found = [find_words(ids, letters, longest + 1).symbols for ids in texts]
        empty = np.full((1, longest + 1), -1)
        empty[0, 0] = END
        rows = np.concatenate([empty, *found])
        counts = np.zeros(len(rows), np.int64)
        counts[1 : 1 + len(found[0])] = 1  # 0 of the empty word and of the background
        num_symbols = count_symbols(letters)
        levels = build_levels(rows, np.zeros(len(rows), int), counts, num_symbols, 1)
        if len(levels.keys) <= most:
            parents, symbols = np.divmod(levels.keys, num_symbols)
            sizes = np.bincount(parents, minlength=1 + len(parents))
            arrays = (array.astype(np.int32) for array in (sizes, symbols, levels.counts))
            return WordTable(letters, *arrays)
    return None
