"""A table of the letters of words: which characters follow the letters of the current word.

The table is a trie of the letters of a word so far, without regard to case. Any other character
ends the word. With n the count of a character c in a node, and p_KN(c) its probability by the
Kneser-Ney counts, the score of c is

    ln(1 + r(c) / p_KN(c)),  r(c) = (n - D) / (D * number of different characters in the node)

and 0 for all characters that the node lacks. With a weight of 1 in a product of experts, this is
absolute discounting that backs off to Kneser-Ney. The table is silent between words.

Node 0 is the start of a word. Nodes are numbered level by level, and the children of a node are
consecutive. The children follow from the letters among the characters of each node, so a file
contains only these.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import (
    Floats,
    Ids,
    Nodes,
    find_in_trie,
    join_counts,
    list_ranges,
    read_numbers,
    split_counts,
    to_smallest_type,
)
from charrnn.text.vocabulary import Vocabulary

DISCOUNT = 0.1  # D, fitted on small texts in four languages
MAX_LETTERS = 12
MAX_ENTRIES = 30_000  # for each started 100,000 characters of the text
UNKNOWN = -1  # the node of a word that is not in the table


class WordScores(NamedTuple):
    """The scores of a word table at P places, of which only some characters have any."""

    rows: Ids  # (E,), the place of each score, in ascending order
    characters: Ids  # (E,), its character
    values: npt.NDArray[np.floating[Any]]  # (E,), the score
    # (E,), whether only one character continues the word so far in the table
    is_single: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class WordTable:
    """The characters that follow the letters of words."""

    # (V,), the number of each letter, from 1; 0 for all other characters. Both cases of a letter
    # have the same number.
    letters: Nodes
    sizes: Nodes  # (M,), the number of different characters in each node
    characters: Nodes  # (E,), the characters of all nodes, in ascending order in each
    counts: Nodes  # (E,), how often each follows

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file."""
        arrays = {name: getattr(self, name) for name in ("letters", "sizes", "characters")}
        arrays |= split_counts(self.counts)
        return {f"word_{name}": to_smallest_type(values) for name, values in arrays.items()}

    @classmethod
    def from_arrays(cls, vocabulary_size: int, arrays: Mapping[str, npt.NDArray[Any]]) -> WordTable:
        """Return the table in a file. Raise ValueError or KeyError if it is invalid."""
        names = [f"word_{name}" for name in ("letters", "sizes", "characters", "counts", "many")]
        letters, sizes, characters, counts, many = read_numbers(arrays, names, "words")
        counts = join_counts(counts, many, "words")  # `many` has those that a byte cannot hold
        if not (
            len(letters) == vocabulary_size >= letters.max()
            and len(characters) == len(counts) == sizes.sum(dtype=np.int64)
            and len(sizes) > 0
            and counts.min(initial=1) > 0
            and characters.max(initial=0) < vocabulary_size
        ):
            raise ValueError("its words are not a valid table")
        table = cls(letters, sizes, characters, counts)
        is_first = np.zeros(len(characters) + 1, bool)
        is_first[table.starts] = True
        parents = table.keys // table.width
        if not (
            ((characters[1:] > characters[:-1]) | is_first[1:-1]).all()
            and len(table.keys) == len(sizes) - 1
            and (parents <= np.arange(len(parents))).all()
        ):
            raise ValueError("its words are not a trie")
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
    def keys(self) -> npt.NDArray[np.int64]:
        """parent * width + letter (M - 1,) of each node but the first, in ascending order."""
        letters = self.letters[self.characters]
        parents = np.repeat(np.arange(len(self.sizes)), self.sizes)
        keys = np.unique((parents * self.width + letters)[letters > 0])
        return keys[: len(self.sizes) - 1]  # The longest words of the table have no children.

    @cached_property
    def ratios(self) -> Floats:
        """r (E,) of each entry."""
        left = np.repeat(DISCOUNT * self.sizes, self.sizes)
        return ((self.counts - DISCOUNT) / left).astype(np.float32)

    def find_nodes(self, ids: Ids, nodes: Nodes) -> Nodes:
        """Return the nodes (N, T) after each of ids (N, T), from the nodes (N,) before them."""
        letters = self.letters[ids]
        after = np.concatenate([nodes[:, None], np.where(letters > 0, UNKNOWN, 0)], 1)
        columns = np.arange(ids.shape[1])
        depths = columns - np.maximum.accumulate(np.where(letters > 0, -1, columns), 1)
        for depth in count(1):
            # `after` has one column more on the left, so this is the node before each character.
            rows, places = np.nonzero((depths == depth) & (after[:, :-1] != UNKNOWN))
            if not len(rows):
                break
            keys = after[rows, places] * self.width + letters[rows, places]
            children = find_in_trie(self.keys, keys)
            after[rows, places + 1] = np.where(children > 0, children, UNKNOWN)
        return after[:, 1:].astype(np.int32)

    def score(self, nodes: Nodes, p: npt.NDArray[np.floating[Any]]) -> WordScores:
        """Return the scores in nodes (P,), given the Kneser-Ney probabilities p (P, V)."""
        places = np.flatnonzero(nodes > 0)
        sizes = self.sizes[nodes[places]]
        rows, entries = np.repeat(places, sizes), list_ranges(self.starts[nodes[places]], sizes)
        characters = self.characters[entries]
        values = np.log1p(self.ratios[entries] / p[rows, characters])
        return WordScores(rows, characters, values, np.repeat(sizes == 1, sizes))


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


def count_words(ids: Ids, letters: Nodes, max_letters: int, max_bytes: int) -> WordTable | None:
    """Count the characters that follow the letters of words.

    Args:
        ids: the text (n,).
        letters: as in `WordTable`.
        max_letters: the longest beginning of a word that is counted.
        max_bytes: of the table in a file.

    Returns:
        The table. If it would be larger than `max_bytes`, or than `MAX_ENTRIES` per 100,000
        characters, as of a text without spaces, it contains only shorter words. None if no table is
        small enough, or the text has no letters.
    """
    if not letters[ids].any():
        return None
    size = len(letters)
    nodes, num_nodes = number_nodes(letters[ids], max_letters)
    # inside known words, and at the first letter of a word
    is_counted = (nodes[:-1] > 0) | ((nodes[:-1] == 0) & (letters[ids] > 0))
    entries = nodes[:-1][is_counted] * np.int64(size) + ids[is_counted]
    keys, counts = np.unique(entries, return_counts=True)
    most = MAX_ENTRIES * -(-len(ids) // 100_000)
    # Leave out the longest beginnings until the table is small enough.
    for num in num_nodes[:0:-1]:
        n = int(np.searchsorted(keys, num * size))
        sizes = np.bincount(keys[:n] // size, minlength=num)
        arrays = (array.astype(np.int32) for array in (sizes, keys[:n] % size, counts[:n]))
        table = WordTable(letters, *arrays)
        num_bytes = sum(array.nbytes for array in table.to_arrays().values())
        if n <= most and num_bytes <= max_bytes:
            return table
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
