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

import numpy as np

from charrnn.counts.table import Arrays, Table
from charrnn.counts.tries import END, Ids, Nodes, Trie, build_levels, count_symbols
from charrnn.counts.words import WordTable, find_words
from charrnn.text.vocabulary import Vocabulary

DISCOUNT = 0.75  # D
MAX_MARKS = 4  # between two words


@dataclass(frozen=True, eq=False)
class PairTable(Table):
    """The pairs of words of a text.

    Attributes:
        words: the table in which the trie starts.
        symbols: (V,), the symbol of each character: the number of a letter, or a larger one.
        sizes: (W,), the number of pairs of each word (`WordTable.ends`) as the first one.
        marks: (P, MAX_MARKS), the symbols of the marks between both words, and then 0.
        seconds: (P,), the second word of each pair, as a place in `WordTable.ends`.
        counts: (P,), how often each pair occurs in the text; 0 if only in the background.
    """

    title, prefix = "pairs", "pair_"
    columns = ("symbols", "sizes", "marks", "seconds", "counts")

    words: WordTable
    symbols: Nodes
    sizes: Nodes
    marks: Nodes
    seconds: Nodes
    counts: Nodes

    @classmethod
    def from_arrays(cls, words: WordTable, arrays: Arrays) -> PairTable:
        """Return the table in a file. Raise ValueError or KeyError if it is invalid."""
        symbols, sizes, marks, seconds, counts = cls.read_columns(arrays)
        is_letter, num_words = words.letters > 0, len(words.ends)
        first_mark = int(words.letters.max()) + 1
        if not (
            len(sizes) == num_words
            and len(seconds) == len(counts) == sizes.sum(dtype=np.int64)
            and len(marks) == len(seconds) * MAX_MARKS
            and seconds.max(initial=-1) < num_words
            and len(symbols) == len(is_letter)
            and np.array_equal(symbols[is_letter], words.letters[is_letter])
            and np.array_equal(np.unique(symbols), np.arange(1, symbols.max(initial=0) + 1))
            and symbols[~is_letter].min(initial=first_mark) >= first_mark
        ):
            raise ValueError("its pairs are not a valid table")
        marks = marks.reshape(-1, MAX_MARKS)
        is_mark = (marks >= first_mark) & (marks <= symbols.max(initial=0))
        num_marks = is_mark.sum(1, keepdims=True)
        comes_first = np.arange(MAX_MARKS) < np.maximum(num_marks, 1)
        if marks[~is_mark].any() or not np.array_equal(is_mark, comes_first):
            raise ValueError("its pairs are not separated by marks")
        return cls(words, symbols, sizes, marks, seconds, counts)

    @cached_property
    def trie(self) -> Trie:
        """The trie of all pairs. It starts from the ends of words."""
        seconds = self.words.spelled[self.seconds]
        num_marks, length = np.count_nonzero(self.marks, 1), seconds.shape[1]
        rows = np.full((len(seconds), MAX_MARKS + length), -1, np.int32)
        for n in range(1, MAX_MARKS + 1):
            places = np.flatnonzero(num_marks == n)
            rows[places, :n] = self.marks[places, :n]
            rows[places, n : n + length] = seconds[places]
        first, num_symbols = len(self.words.sizes), count_symbols(self.symbols)
        starts = np.repeat(self.words.ends, self.sizes)
        levels = build_levels(rows, starts, self.counts, num_symbols, first)
        return Trie(levels, first, self.symbols, self.words.letters == 0, DISCOUNT)

    def extend(self, id_: int, word: int, pair: int) -> int:
        """Return the node after one more character, from the nodes of word and pair before it."""
        if word and not self.words.letters.data[id_]:
            pair = self.words.trie.find(word, END) if word > 0 else 0
        return self.trie.find(pair, self.symbols.data[id_]) if pair else 0

    def count_passages(self, node: int) -> int:
        """Return the number of times that the text has what a node stands for."""
        return self.trie.counts.data[node - self.trie.first] if node else 0


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
    pairs, places = np.unique(np.concatenate(found), axis=0, return_inverse=True)
    is_counted = np.arange(len(places)) < len(found[0])
    counts = np.bincount(places.ravel(), is_counted, len(pairs))
    sizes = np.bincount(pairs[:, 0], minlength=len(words.ends))
    columns = sizes, pairs[:, 1:-1], pairs[:, -1], counts
    return PairTable(words, symbols, *(column.astype(np.int32) for column in columns))


def _find_pairs(ids: Ids, words: WordTable, symbols: Nodes) -> Ids:
    """Return the first word, the marks and the second word (n, 2 + MAX_MARKS) of a text's pairs."""
    starts, ends, spelled = find_words(ids, words.letters, words.spelled.shape[1])
    places = {word.tobytes(): place for place, word in enumerate(words.spelled)}
    numbers = np.array([places.get(word.tobytes(), -1) for word in spelled], np.int64)
    num_marks = starts[1:] - ends[:-1]
    is_used = (numbers[:-1] >= 0) & (numbers[1:] >= 0) & (num_marks <= MAX_MARKS)
    is_mark = np.arange(MAX_MARKS) < num_marks[is_used, None]
    marks = np.zeros(is_mark.shape, np.int64)
    marks[is_mark] = symbols[ids[(ends[:-1][is_used, None] + np.arange(MAX_MARKS))[is_mark]]]
    return np.column_stack([numbers[:-1][is_used], marks, numbers[1:][is_used]])
