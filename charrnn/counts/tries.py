"""Tries of symbols: the children of nodes, and the scores of the characters that follow.

A symbol stands for one or more characters. With n the count of a symbol s in a node, and p(s) the
probability of its characters by another model, the score of each of them is

    ln(1 + r(s) / p(s)),  r(s) = (n - D) / (D * number of different symbols in the node)

and 0 for all other characters. With a weight of 1 in a product of experts, this is absolute
discounting that backs off to p. Symbols with a count of 0 are known, but have no score.

Nodes are numbered level by level, and the children of a node are consecutive, in the order of their
symbols. So the keys of the nodes, parent * number of symbols + symbol, are in ascending order.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer[Any]]
Nodes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

END = 0  # the symbol of all characters but letters, after a word
_MAX_CACHED = 1 << 15  # nodes


class Levels(NamedTuple):
    """The nodes of a trie, level by level."""

    keys: Ids  # (M,), parent * number of symbols + symbol
    counts: Ids  # (M,), the sum of the counts of the sequences through each node


def build_levels(rows: Ids, nodes: Ids, counts: Ids, num_symbols: int, first: int) -> Levels:
    """Return the nodes of sequences of symbols.

    Args:
        rows: (n, L), the symbols of each sequence, and -1 after its end.
        nodes: (n,), the node at which each sequence starts.
        counts: (n,), how often each occurs.
        first: the number of the first new node.
    """
    all_keys, all_counts, active, parents = [], [], np.arange(len(rows)), nodes.astype(np.int64)
    for column in rows.T:
        active = active[column[active] >= 0]
        keys = parents[active] * num_symbols + column[active]
        keys, numbers = np.unique(keys, return_inverse=True)
        all_keys.append(keys)
        all_counts.append(np.bincount(numbers, counts[active], len(keys)))
        parents[active] = first + numbers
        first += len(keys)
    return Levels(np.concatenate(all_keys), np.concatenate(all_counts).astype(np.int64))


def count_symbols(symbols: Ids) -> int:
    """Return the number S of different symbols, including END, of characters (V,)."""
    return int(symbols.max(initial=END)) + 1


def list_ranges(firsts: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the numbers of several ranges, one range after the other."""
    offsets = sizes.cumsum(dtype=np.int64) - sizes
    return np.repeat(firsts - offsets, sizes) + np.arange(sizes.sum())


class Trie:
    """A trie, or the levels of one that start from nodes of another.

    Args:
        levels: the M nodes.
        first: the number of the first of them.
        symbols: (V,), the symbol of each character.
        is_mark: (V,), whether END stands for a character too.
        discount: D.

    Attributes:
        counts: (M,), how often each node occurs.
        is_single: (first + M,), whether only one symbol is counted in a node.
    """

    def __init__(
        self, levels: Levels, first: int, symbols: Ids, is_mark: Ids, discount: float
    ) -> None:
        self.first, self.counts = first, levels.counts
        members = [np.flatnonzero(symbols == s) for s in range(count_symbols(symbols))]
        members[END] = np.flatnonzero(is_mark)
        self._members, self._member_ids = [m.tolist() for m in members], np.concatenate(members)
        self._member_sizes = np.array([*map(len, members)])
        parents, self._symbols = np.divmod(levels.keys, len(members))
        self._starts = np.searchsorted(parents, np.arange(first + len(parents) + 1))
        is_counted = levels.counts > 0
        sizes = np.bincount(parents[is_counted], minlength=first + len(parents))
        self.is_single = sizes == 1
        ratios = (levels.counts - discount) / (discount * np.maximum(sizes[parents], 1))
        self._ratios: Floats = np.where(is_counted, ratios, 0).astype(np.float32)
        self.list_symbols = lru_cache(_MAX_CACHED)(self._list_symbols)
        self.list_followers = lru_cache(_MAX_CACHED)(self._list_followers)

    def find(self, parent: int, symbol: int) -> int:
        """Return the child of a node by a symbol; 0 if it has none."""
        # Python reads single numbers from a memoryview faster than from an array.
        symbols, (start, end) = self._symbols.data, self._starts.data[parent : parent + 2]
        place = bisect_left(symbols, symbol, start, end)
        return self.first + place if place < end and symbols[place] == symbol else 0

    def _list_symbols(self, node: int) -> tuple[list[tuple[list[int], float]], bool]:
        """Return the characters and the ratio of each counted symbol in a node, and `is_single`."""
        part = slice(self._starts[node], self._starts[node + 1])
        symbols, ratios = self._symbols[part].tolist(), self._ratios[part].tolist()
        entries = zip([self._members[symbol] for symbol in symbols], ratios, strict=True)
        return [entry for entry in entries if entry[1]], bool(self.is_single[node])

    def _list_followers(self, node: int) -> Ids:
        """Return the ids (n,) of the characters that are known after a node."""
        symbols = self._symbols[self._starts[node] : self._starts[node + 1]].tolist()
        return np.array([id_ for symbol in symbols for id_ in self._members[symbol]], np.int64)

    def score(
        self, nodes: Nodes, p: npt.NDArray[Any]
    ) -> tuple[Ids, Ids, npt.NDArray[np.floating[Any]]]:
        """Return the scores of all characters that are known after nodes (P,).

        Node 0, and negative nodes, have none: there, the symbols are not known.

        Args:
            p: (P, V), the probabilities to which the scores back off.

        Returns:
            The rows (C,) of p, the characters (C,) and their scores (C,).
        """
        rows = np.flatnonzero(nodes > 0)
        first_entries = self._starts[nodes[rows]]
        num_entries = self._starts[nodes[rows] + 1] - first_entries
        rows, entries = np.repeat(rows, num_entries), list_ranges(first_entries, num_entries)
        if not len(entries):
            return rows, entries, self._ratios[entries]
        symbols, firsts = self._symbols[entries], self._member_sizes.cumsum() - self._member_sizes
        sizes = self._member_sizes[symbols]
        rows = np.repeat(rows, sizes)
        characters = self._member_ids[list_ranges(firsts[symbols], sizes)]
        # the probability of all characters of each symbol
        masses = np.add.reduceat(p[rows, characters], sizes.cumsum() - sizes)
        scores = np.log1p(self._ratios[entries] / masses)
        return rows, characters, np.repeat(scores, sizes)
