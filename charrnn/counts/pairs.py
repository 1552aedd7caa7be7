"""A table of word pairs: what follows a word, up to the end of the next word.

The trie of the word table continues after the end of a word, through the marks between two words,
to the end of the next word. Its symbols are letters without regard to case, white space, each other
mark, and the end of the second word, which all characters but letters are. `charrnn.counts.tries`
explains the scores of the characters that follow, which back off to the Kneser-Ney counts and the
word table. While a text is read, a number says where it is in the trie: the node of the last word,
the marks after it and the letters so far; 0 if they are not in the trie.

The numbers of the nodes go on after those of the word table, level by level. A file has the list of
pairs, from which the trie is built. Pairs of the background have a count of 0, as in `words`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.columns import Arrays, Columns
from charrnn.counts.tries import (
    Followers,
    Ids,
    Keys,
    Members,
    Nodes,
    find_in_trie,
)
from charrnn.counts.words import WordTable
from charrnn.text.vocabulary import Vocabulary

DISCOUNT = 0.75  # D
MAX_MARKS = 4  # between two words
END = 0  # the symbol of all characters but letters, after the second word
_NAMES = ("symbols", "kinds", "sizes", "marks", "seconds", "counts")
_COLUMNS = Columns("pairs", "pair_", _NAMES)


class _Trie(NamedTuple):
    keys: Keys  # (M,), in ascending order; their parents are nodes of words and of pairs
    counts: Ids  # (M,), how often each node occurs in the text
    followers: Followers  # of the nodes of words and of pairs


@dataclass(frozen=True, eq=False)
class PairTable:
    """The pairs of words of a text.

    Attributes:
        words: the table in which the trie starts.
        symbols: (V,), the symbol of each character: the number of a letter, or a larger one.
        kinds: (R, MAX_MARKS), the different marks between two words, as symbols; 0 for none.
        sizes: (W,), the number of pairs of each word (`WordTable.ends`) as the first one.
        marks: (P,), the marks of each pair, as a place in `kinds`.
        seconds: (P,), the second word of each pair, as a place in `WordTable.ends`.
        counts: (P,), how often each pair occurs in the text; 0 if only in the background.
    """

    words: WordTable
    symbols: Nodes
    kinds: Nodes
    sizes: Nodes
    marks: Nodes
    seconds: Nodes
    counts: Nodes

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file."""
        return _COLUMNS.pack(self)

    @classmethod
    def from_arrays(cls, words: WordTable, arrays: Arrays) -> PairTable:
        """Return the table in a file. Raise ValueError or KeyError if it is invalid."""
        symbols, kinds, sizes, marks, seconds, counts = _COLUMNS.unpack(arrays)
        is_letter, num_words = words.letters > 0, len(words.ends)
        if not (
            len(kinds) % MAX_MARKS == 0
            and len(sizes) == num_words
            and len(marks) == len(seconds) == len(counts) == sizes.sum(dtype=np.int64)
            and marks.max(initial=-1) < len(kinds) // MAX_MARKS
            and seconds.max(initial=-1) < num_words
            and len(symbols) == len(is_letter)
            and np.array_equal(symbols[is_letter], words.letters[is_letter])
            and np.array_equal(np.unique(symbols), np.arange(1, symbols.max(initial=0) + 1))
            and symbols[~is_letter].min(initial=words.width) >= words.width
        ):
            raise ValueError("its pairs are not a valid table")
        kinds = kinds.reshape(-1, MAX_MARKS)
        is_mark = (kinds >= words.width) & (kinds <= symbols.max(initial=0))
        num_marks = is_mark.sum(1, keepdims=True)
        comes_first = np.arange(MAX_MARKS) < np.maximum(num_marks, 1)
        if kinds[~is_mark].any() or not np.array_equal(is_mark, comes_first):
            raise ValueError("its pairs are not separated by marks")
        return cls(words, symbols, kinds, sizes, marks, seconds, counts)

    @cached_property
    def num_symbols(self) -> int:
        """The number S of different symbols."""
        return int(self.symbols.max()) + 1

    @cached_property
    def first(self) -> int:
        """The number of the first node."""
        return len(self.words.sizes)

    @cached_property
    def trie(self) -> _Trie:
        """The trie of all pairs."""
        kinds, spelled = self.kinds[self.marks], self.words.spell(self.words.ends)
        num_marks, num_letters = np.count_nonzero(kinds, 1), spelled.shape[1]
        symbols = np.full((len(kinds), MAX_MARKS + num_letters + 1), END, np.int32)
        for n in range(1, MAX_MARKS + 1):
            rows = np.flatnonzero(num_marks == n)
            symbols[rows, :n] = kinds[rows, :n]
            symbols[rows, n : n + num_letters] = spelled[self.seconds[rows]]
        nodes, rows = np.repeat(self.words.ends, self.sizes), np.arange(len(kinds))
        all_keys, all_counts, num_nodes = [], [], self.first
        for column in symbols.T:
            keys, numbers = np.unique(nodes * self.num_symbols + column[rows], return_inverse=True)
            all_keys.append(keys)
            all_counts.append(np.bincount(numbers, self.counts[rows], len(keys)))
            goes_on = column[rows] != END
            nodes, rows = (num_nodes + numbers)[goes_on], rows[goes_on]
            num_nodes += len(keys)
        keys, counts = np.concatenate(all_keys), np.concatenate(all_counts).astype(np.int64)
        parents, symbols = np.divmod(keys, self.num_symbols)
        starts = np.searchsorted(parents, np.arange(num_nodes + 1))
        followers = Followers(starts, symbols, counts, self._members, DISCOUNT)
        return _Trie(keys, counts, followers)

    def extend(self, id_: int, word: int, pair: int) -> int:
        """Return the node after one more character, from the nodes of word and pair before it."""
        parent = word if word and not self.words.letters.data[id_] else pair
        if parent <= 0:
            return 0
        key = parent * self.num_symbols + self.symbols.data[id_]
        child = find_in_trie(self.trie.keys.data, key)
        return child + self.first - 1 if child else 0

    def raise_staying(self, scores: Any, node: int, cost: float) -> None:
        """Raise the scores (V,) of the characters that stay in the known pairs at a node.

        With n the number of times that the text has this node, the cost is multiplied by
        2 (1 - 1 / n). So a small text is not copied: of words that it has once, it does not tell
        what may follow them.
        """
        times = self.trie.counts.data[node - self.first] if node else 0
        if times > 1:
            cost *= 2 - 2 / times
            for members, _ in self.trie.followers.list_symbols(node)[0]:
                for id_ in members:
                    scores[id_] += cost

    @cached_property
    def _members(self) -> Members:
        """The characters of each symbol; those of END are all marks."""
        sizes = np.bincount(self.symbols, minlength=self.num_symbols)
        firsts = np.append(0, sizes.cumsum())[:-1]
        sizes[END] = sizes[self.words.width :].sum()
        firsts[END] = len(self.symbols) - sizes[END]
        return Members(np.argsort(self.symbols, kind="stable"), firsts, sizes)


def number_symbols(vocabulary: Vocabulary, letters: Nodes) -> Nodes:
    """Return the symbols (V,): letters have their numbers, and all white space is one."""
    numbers: dict[str, int] = {}
    symbols = letters.copy()
    for id_ in np.flatnonzero(letters == 0).tolist():
        character = vocabulary.characters[id_]
        mark = " " if character.isspace() else character
        symbols[id_] = letters.max() + numbers.setdefault(mark, len(numbers) + 1)
    return symbols


def count_pairs(texts: Sequence[Ids], words: WordTable, symbols: Nodes) -> PairTable:
    """Count the pairs of words in texts.

    Args:
        texts: the text (n,), and its background if it has one.
        words: the table of the words of these texts.
        symbols: as in `PairTable`.
    """
    found = [_find_pairs(ids, words, symbols) for ids in texts]
    firsts, marks, seconds = (np.concatenate(parts) for parts in zip(*found, strict=True))
    num_words, base = len(words.ends), int(symbols.max()) - words.width + 2
    codes = np.maximum(marks - words.width + 1, 0) @ base ** np.arange(MAX_MARKS)[::-1]
    _, rows, numbers = np.unique(codes, return_index=True, return_inverse=True)
    kinds = marks[rows]
    keys = (firsts * len(kinds) + numbers) * num_words + seconds
    _, rows, pairs = np.unique(keys, return_index=True, return_inverse=True)
    sizes = np.bincount(firsts[rows], minlength=num_words)
    counts = np.bincount(pairs, np.arange(len(pairs)) < len(found[0][0]), len(rows))
    columns = kinds, sizes, numbers[rows], seconds[rows], counts
    return PairTable(words, symbols, *(column.astype(np.int32) for column in columns))


def _find_pairs(ids: Ids, words: WordTable, symbols: Nodes) -> tuple[Ids, Ids, Ids]:
    """Return the first words (P,), the marks (P, MAX_MARKS) and the second words of a text."""
    nodes = words.find_nodes(ids)
    is_letter = np.concatenate([[False], words.letters[ids] > 0, [False]])
    starts = np.flatnonzero(is_letter[1:] & ~is_letter[:-1])
    ends = np.flatnonzero(is_letter[:-1] & ~is_letter[1:])  # after the last letter
    is_known, num_marks = nodes[ends - 1] > 0, starts[1:] - ends[:-1]
    is_used = is_known[:-1] & is_known[1:] & (num_marks <= MAX_MARKS) & (ends[1:] < len(ids))
    found = np.searchsorted(words.ends, nodes[ends - 1])
    is_mark = np.arange(MAX_MARKS) < num_marks[is_used, None]
    marks = np.zeros(is_mark.shape, np.int64)
    marks[is_mark] = symbols[ids[(ends[:-1][is_used, None] + np.arange(MAX_MARKS))[is_mark]]]
    return found[:-1][is_used], marks, found[1:][is_used]
