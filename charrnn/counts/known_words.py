"""The words of a text, and of its background: a trie of letters, without regard to case.

While a text is written, the letters of the current word are a node of the trie, or UNKNOWN if no
word starts so. The known characters of a node are the letters with which a word continues, and if a
word ends there, all characters that are no letters. Any other character leaves the known words.

Node 0 is between words, where a word may start. Nodes are numbered level by level, and the children
of a node are consecutive, in the order of their letters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import Floats, Ids, Nodes, read_numbers, to_smallest_type
from charrnn.counts.words import MAX_LETTERS, UNKNOWN, WordTable, number_nodes

Flags = npt.NDArray[np.bool_]

_MAX_CACHED = 1 << 21  # costs
_NAMES = ("letters", "last_letters", "num_children")


@dataclass(frozen=True, eq=False)
class KnownWords:
    """The letters of words.

    Attributes:
        letters: (V,), the number of each letter, as in `WordTable`.
        last_letters: (M - 1,), the last letter of each node but the first.
        num_children: (M,), of each node.
        is_word: (M,), whether a word ends after the letters of each node; True for node 0.
        num_complete: the number of nodes whose continuations are all in the trie; they are the
            first nodes. Longer beginnings of words are not told apart.
    """

    letters: Nodes
    last_letters: Nodes
    num_children: Nodes
    is_word: Flags
    num_complete: int

    @classmethod
    def from_table(cls, table: WordTable) -> KnownWords:
        """Return the words of a word table."""
        parents, last_letters = table.keys // table.width, table.keys % table.width
        num_children = np.bincount(parents, minlength=len(table.sizes)).astype(np.int32)
        ends = table.letters[table.characters] == 0
        owners = np.repeat(np.arange(len(table.sizes)), table.sizes)
        is_word = np.bincount(owners[ends], minlength=len(table.sizes)) > 0
        is_word[0] = True
        # A table that would be too large lacks its longest words.
        last_level = _list_levels(num_children)[-1]
        is_cut = (table.letters[table.characters[table.starts[last_level] :]] > 0).any()
        return cls(
            table.letters,
            last_letters.astype(np.int32),
            num_children,
            is_word,
            min(last_level if is_cut else len(num_children), _count_complete(num_children)),
        )

    @classmethod
    def from_texts(cls, texts: Sequence[Ids], letters: Nodes) -> KnownWords:
        """Return the words of several texts (n,), such as a training text and its background.

        Of each word, the first `MAX_LETTERS` letters are kept. A word table of only one of the
        texts would lack the words of the others.
        """
        numbers = np.concatenate([np.append(letters[ids], np.int32(0)) for ids in texts])
        nodes, num_nodes = number_nodes(numbers, MAX_LETTERS)
        before, after = nodes[:-1], nodes[1:]
        is_child, is_end = (after > 0) & (numbers > 0), (before > 0) & (numbers == 0)
        M = num_nodes[-1]
        parents, last_letters = np.zeros((2, M), np.int32)
        parents[after[is_child]], last_letters[after[is_child]] = (
            before[is_child],
            numbers[is_child],
        )
        is_word = np.zeros(M, bool)
        is_word[before[is_end]] = is_word[0] = True
        num_children = np.bincount(parents[1:], minlength=M).astype(np.int32)
        return cls(letters, last_letters[1:], num_children, is_word, _count_complete(num_children))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file."""
        arrays = {f"known_{name}": to_smallest_type(getattr(self, name)) for name in _NAMES}
        return {**arrays, "known_is_word": np.packbits(self.is_word)}

    @classmethod
    def from_arrays(
        cls, vocabulary_size: int, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> KnownWords:
        """Return the words in a file. Raise ValueError or KeyError if they are invalid."""
        names = [f"known_{name}" for name in (*_NAMES, "is_word")]
        letters, last_letters, num_children, bits = read_numbers(arrays, names, "known words")
        M = len(num_children)
        if not (
            len(letters) == vocabulary_size
            and len(last_letters) == M - 1 == num_children.sum(dtype=np.int64)
            and last_letters.min(initial=1) > 0
            and last_letters.max(initial=0) <= letters.max()
            and len(bits) == -(-M // 8)
            and bits.max(initial=0) < 256
        ):
            raise ValueError("its known words are not a valid table")
        parents = np.repeat(np.arange(M), num_children)
        keys = parents * (np.int64(letters.max()) + 1) + last_letters
        # Each node follows its parent.
        if not ((parents <= np.arange(M - 1)).all() and (np.diff(keys) > 0).all()):
            raise ValueError("its known words are not a trie")
        if len(_list_levels(num_children)) > MAX_LETTERS + 1:
            raise ValueError("its known words are too long")
        is_word = np.unpackbits(bits.astype(np.uint8), count=M).astype(bool)
        return cls(letters, last_letters, num_children, is_word, _count_complete(num_children))

    @cached_property
    def starts(self) -> Nodes:
        """The first child (M + 1,) of each node, and the end of the last."""
        return np.append(1, 1 + self.num_children.cumsum()).astype(np.int32)

    @cached_property
    def width(self) -> int:
        """The number of different letters, and one for all other characters."""
        return int(self.letters.max()) + 1

    def find_node(self, ids: Sequence[int]) -> int:
        """Return the node of the word at the end of a text.

        Args:
            ids: the text, or its last characters: at least the last `MAX_LETTERS` + 1.
        """
        node = 0
        for id_ in ids:
            node = self.extend(id_, node)
        return node

    def extend(self, id_: int, node: int) -> int:
        """Return the node after one more character."""
        letters, starts, last_letters = self._views
        letter = letters[id_]
        if not letter or node < 0:
            return UNKNOWN if letter else 0
        end = starts[node + 1]
        child = bisect_left(last_letters, letter, starts[node] - 1, end - 1) + 1
        return child if child < end and last_letters[child - 1] == letter else UNKNOWN

    def make_costs(self, node: int, cost: float) -> Floats | None:
        """Return the cost (V,) of each character in a node: `cost` if it leaves the known words.

        Return None if all characters are free. The caller must not change the result.
        """
        if not 0 <= node < self.num_complete:
            return None
        costs = self._costs.get((node, cost))
        if costs is None:
            start, end = self.starts[node : node + 2].tolist()
            by_letter = np.full(self.width, cost, np.float32)
            by_letter[self.last_letters[start - 1 : end - 1]] = 0
            if self.is_word[node]:
                by_letter[0] = 0
            if len(self._costs) * len(self.letters) >= _MAX_CACHED:
                self._costs.clear()
            costs = self._costs[node, cost] = by_letter[self.letters]
        return costs

    @cached_property
    def _costs(self) -> dict[tuple[int, float], Floats]:
        return {}

    @cached_property
    def _views(self) -> tuple[memoryview, memoryview, memoryview]:
        """The arrays, of which Python reads single numbers faster from a memoryview."""
        return self.letters.data, self.starts.data, self.last_letters.data


def _list_levels(num_children: Nodes) -> list[int]:
    """Return the first node of each level of a trie. Level k has the beginnings of k letters.

    The list ends after level `MAX_LETTERS` + 1, which only a trie with words that are too long has.
    """
    levels, end = [0], 1
    while len(levels) < MAX_LETTERS + 2 and (size := int(num_children[levels[-1] : end].sum())):
        levels.append(end)
        end += size
    return levels


def _count_complete(num_children: Nodes) -> int:
    """Return the number of nodes with fewer than `MAX_LETTERS` letters."""
    levels = _list_levels(num_children)
    return levels[MAX_LETTERS] if len(levels) > MAX_LETTERS else len(num_children)
