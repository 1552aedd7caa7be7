"""A table of the letters of words: which characters follow the letters of the current word.

The table is a trie of the letters of a word so far, without regard to case. Any other character
ends the word. `charrnn.counts.tries` explains the scores of the characters that follow, which back
off to the Kneser-Ney counts. The table is silent between words.

The words of a background (another text of the language) are in the table with a count of 0: they
are known, but have no score.

Node 0 is the start of a word. The children of a node follow from the letters among its characters,
so a file contains only these.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.columns import Arrays, Columns
from charrnn.counts.tries import (
    MAX_CACHED,
    Followers,
    Ids,
    Members,
    Nodes,
    find_in_trie,
)
from charrnn.text.vocabulary import Vocabulary

DISCOUNT = 0.1  # D, fitted on small texts in four languages
MAX_LETTERS = 12
LONGEST_WORD = 64  # letters, in any file
MAX_ENTRIES = 30_000  # for each started 100,000 characters of the texts
UNKNOWN = -1  # the node of letters with which no word of the table starts
CUT = -2  # the node of letters with which words start that the table does not tell apart
_COLUMNS = Columns("words", "word_", ("letters", "sizes", "characters", "counts"))


@dataclass(frozen=True, eq=False)
class WordTable:
    """The characters that follow the letters of words."""

    # (V,), the number of each letter, from 1; 0 for all other characters. Both cases of a letter
    # have the same number.
    letters: Nodes
    sizes: Nodes  # (M,), the number of different characters in each node
    characters: Nodes  # (E,), the characters of all nodes, in ascending order in each
    counts: Nodes  # (E,), how often each follows in the text; 0 if only in the background

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file."""
        return _COLUMNS.pack(self)

    @classmethod
    def from_arrays(cls, vocabulary_size: int, arrays: Arrays) -> WordTable:
        """Return the table in a file. Raise ValueError or KeyError if it is invalid."""
        letters, sizes, characters, counts = _COLUMNS.unpack(arrays)
        if not (
            len(letters) == vocabulary_size >= letters.max()
            and len(characters) == len(counts) == sizes.sum(dtype=np.int64)
            and len(sizes) > 0
            and characters.max(initial=0) < vocabulary_size
        ):
            raise ValueError("its words are not a valid table")
        table = cls(letters, sizes, characters, counts)
        parents = table.keys // table.width
        if not (
            (np.diff(table.owners * vocabulary_size + characters) > 0).all()
            and len(table.keys) == len(sizes) - 1
            and (parents <= np.arange(len(parents))).all()
        ):
            raise ValueError("its words are not a trie")
        if len(table.levels) > LONGEST_WORD + 2:
            raise ValueError("its words are too long")
        return table

    @cached_property
    def width(self) -> int:
        """The number of different letters, and one for all other characters."""
        return int(self.letters.max()) + 1

    @cached_property
    def starts(self) -> Nodes:
        """The first entry (M + 1,) of each node, and the end of the last."""
        return np.append(0, self.sizes).cumsum(dtype=np.int32)

    @cached_property
    def owners(self) -> npt.NDArray[np.int64]:
        """The node (E,) of each entry."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """parent * width + letter (M - 1,) of each node but the first, in ascending order."""
        letters = self.letters[self.characters]
        keys = np.unique((self.owners * self.width + letters)[letters > 0])
        return keys[: len(self.sizes) - 1]  # The longest words of the table have no children.

    @cached_property
    def levels(self) -> list[int]:
        """The first node of each level, and the number of nodes."""
        levels = [0, 1]
        while levels[-1] < len(self.sizes):
            levels.append(1 + int(np.searchsorted(self.keys, levels[-1] * self.width)))
        return levels

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """The nodes (W,) at which a word ends, in ascending order."""
        is_end = (self.letters[self.characters] == 0) & (self.owners > 0)
        return np.unique(self.owners[is_end])

    @cached_property
    def followers(self) -> Followers:
        """The characters that follow the nodes, each of which is a symbol."""
        each = np.arange(len(self.letters))
        members = Members(each, each, np.ones_like(each))
        return Followers(self.starts, self.characters, self.counts, members, DISCOUNT)

    def spell(self, nodes: npt.NDArray[Any]) -> Nodes:
        """Return the letters (n, L) of nodes (n,), with zeros after the last one."""
        spelled = np.zeros((len(nodes), len(self.levels) - 2), np.int32)
        depths = np.searchsorted(self.levels, nodes, "right") - 1
        for place in reversed(range(spelled.shape[1])):
            rows = np.flatnonzero(depths > place)
            parents, spelled[rows, place] = np.divmod(self.keys[nodes[rows] - 1], self.width)
            nodes = nodes.copy()
            nodes[rows] = parents
        return spelled

    def extend(self, id_: int, node: int) -> int:
        """Return the node after one more character."""
        letter = self.letters.data[id_]
        if not letter or node < 0:
            return node if letter else 0
        if child := find_in_trie(self.keys.data, node * self.width + letter):
            return child
        return CUT if id_ in self.list_staying(node) else UNKNOWN

    def find_nodes(self, ids: Ids) -> Nodes:
        """Return the nodes (n,) after each character of a text (n,)."""
        nodes = accumulate(ids.tolist(), lambda node, id_: self.extend(id_, node), initial=0)
        return np.fromiter(nodes, np.int32)[1:]

    @cached_property
    def list_staying(self) -> Callable[[int], Ids]:
        """The function that returns the ids of the characters that stay in the words at a node.

        None are returned after letters with which no word starts, or after a cut.
        """

        @lru_cache(MAX_CACHED)
        def list_staying(node: int) -> Ids:
            if node < 0:
                return np.arange(0)
            is_known = np.zeros(self.width, bool)
            known = self.characters[self.starts[node] : self.starts[node + 1]]
            is_known[self.letters[known]] = True
            is_known[0] |= node == 0  # Between words, any other character stays.
            return np.flatnonzero(is_known[self.letters])

        return list_staying


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


def count_words(texts: Sequence[Ids], letters: Nodes, max_letters: int) -> WordTable | None:
    """Count the characters that follow the letters of words.

    Args:
        texts: the text (n,), and its background if it has one.
        letters: as in `WordTable`.
        max_letters: the longest beginning of a word that is counted.

    Returns:
        The table. If it would have more than `MAX_ENTRIES` per 100,000 characters, as of a text
        without spaces, it contains only shorter words. None if no table is small enough, or the
        text has no letters.
    """
    if not letters[texts[0]].any():
        return None
    # -1 ends a text. It is no letter, and it is not counted.
    ids = np.concatenate([part for text in texts for part in (text.astype(np.int32), [-1])])
    numbers, size = np.append(letters, np.int32(0))[ids], len(letters)
    nodes, num_nodes = number_nodes(numbers, max_letters)
    # inside known words, and at the first letter of a word
    is_counted = (nodes[:-1] > 0) | ((nodes[:-1] == 0) & (numbers > 0))
    places = np.flatnonzero(is_counted & (ids >= 0))
    keys, entries = np.unique(nodes[places] * np.int64(size) + ids[places], return_inverse=True)
    counts = np.bincount(entries, places < len(texts[0]), len(keys))
    most = MAX_ENTRIES * -(-len(ids) // 100_000)
    # Leave out the longest beginnings until the table is small enough.
    for num in num_nodes[:0:-1]:
        n = int(np.searchsorted(keys, num * size))
        if n <= most:
            sizes = np.bincount(keys[:n] // size, minlength=num)
            arrays = (array.astype(np.int32) for array in (sizes, keys[:n] % size, counts[:n]))
            return WordTable(letters, *arrays)
    return None


def number_nodes(letters: Nodes, max_letters: int) -> tuple[Nodes, list[int]]:
    """Return a number for each beginning of a word in a text, lower for shorter ones.

    Args:
        letters: (n,), the letters of the text, or 0 for other characters.

    Returns:
        The node (n + 1,) before each character and after the last one: 0 outside of words, UNKNOWN
        after more than `max_letters`; and the number of nodes with at most 0, 1, 2, ... letters.
    """
    nodes, num_nodes = np.zeros(len(letters) + 1, np.int32), [1]
    width, places = int(letters.max(initial=0)) + 1, np.arange(len(letters))
    # the number of letters since the last other character; 0 at that character
    depths = places - np.maximum.accumulate(np.where(letters > 0, -1, places))
    nodes[1:][depths > max_letters] = UNKNOWN
    for depth in range(1, max_letters + 1):
        here = np.flatnonzero(depths == depth)
        parents = nodes[here] * np.int64(width)
        keys, numbers = np.unique(parents + letters[here], return_inverse=True)
        nodes[here + 1] = num_nodes[-1] + numbers
        num_nodes.append(num_nodes[-1] + len(keys))
    return nodes, num_nodes
