"""Tries: find a child by its key, and score the symbols that follow a node.

Nodes are numbered level by level, and the children of a node are consecutive. So the keys of the
nodes, parent * number of symbols + symbol, are in ascending order.

A symbol stands for one or more characters. With n the count of a symbol s in a node, and p(s) the
probability of its characters by another model, the score of each of them is

    ln(1 + r(s) / p(s)),  r(s) = (n - D) / (D * number of different symbols in the node)

and 0 for all other characters. With a weight of 1 in a product of experts, this is absolute
discounting that backs off to p. Symbols with a count of 0 are known, but have no score.
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
Keys = npt.NDArray[np.signedinteger[Any]]

MAX_CACHED = 1 << 15  # nodes


def find_in_trie(keys: memoryview, child: int) -> int:
    """Return the place, from 1, of a child's key among the keys of a trie; 0 if it has none."""
    place = bisect_left(keys, child)
    return place + 1 if place < len(keys) and keys[place] == child else 0


def list_ranges(firsts: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the numbers of several ranges, one range after the other."""
    offsets = sizes.cumsum(dtype=np.int64) - sizes
    return np.repeat(firsts - offsets, sizes) + np.arange(sizes.sum())


class Members(NamedTuple):
    """The characters of each symbol: a range of `ids` for each."""

    ids: Ids
    firsts: Ids  # (S,)
    sizes: Ids  # (S,)


class Scores(NamedTuple):
    """The scores of characters that follow nodes."""

    rows: Ids  # (C,), the place of a node in the request
    characters: Ids  # (C,)
    ratios: Floats  # (C,), r of the character's symbol
    scores: npt.NDArray[np.floating[Any]]  # (C,)


class Followers:
    """The symbols that follow the nodes of a trie.

    Args:
        starts: (M + 1,), the first entry of each node, and the end of the last.
        symbols, counts: (E,), of the entries.
        members: the characters of the symbols.
        discount: D.
    """

    def __init__(
        self, starts: Ids, symbols: Ids, counts: Ids, members: Members, discount: float
    ) -> None:
        self.starts, self.symbols, self.members = starts, symbols, members
        owners, is_counted = np.repeat(np.arange(len(starts) - 1), np.diff(starts)), counts > 0
        sizes = np.bincount(owners[is_counted], minlength=len(starts) - 1)
        ratios = (counts - discount) / (discount * np.maximum(sizes[owners], 1))
        self.ratios: Floats = np.where(is_counted, ratios, 0).astype(np.float32)  # (E,)
        self.is_single = sizes == 1  # (M,), whether a node has one counted symbol
        self._characters = [
            members.ids[first : first + size].tolist()
            for first, size in zip(members.firsts.tolist(), members.sizes.tolist(), strict=True)
        ]
        self.list_symbols = lru_cache(MAX_CACHED)(self._list_symbols)

    def score(self, nodes: Nodes, p: npt.NDArray[Any]) -> Scores:
        """Return the scores of all characters that follow nodes (P,), where they are above 0.

        Args:
            p: (P, V), the probabilities by the other model.
        """
        rows = np.flatnonzero(nodes > 0)
        first_entries = self.starts[nodes[rows]]
        num_entries = self.starts[nodes[rows] + 1] - first_entries
        rows, entries = np.repeat(rows, num_entries), list_ranges(first_entries, num_entries)
        if not len(entries):
            return Scores(rows, entries, self.ratios[entries], self.ratios[entries])
        symbols, ratios = self.symbols[entries], self.ratios[entries]
        ids, firsts, sizes = self.members
        firsts, sizes = firsts[symbols], sizes[symbols]
        rows, characters = np.repeat(rows, sizes), ids[list_ranges(firsts, sizes)]
        masses = np.add.reduceat(p[rows, characters], sizes.cumsum() - sizes)
        scores = np.log1p(ratios / masses)
        return Scores(rows, characters, np.repeat(ratios, sizes), np.repeat(scores, sizes))

    def _list_symbols(self, node: int) -> tuple[list[tuple[list[int], float]], bool]:
        """Return the characters and the ratio of each symbol after a node, and `is_single`."""
        part = slice(self.starts[node], self.starts[node + 1])
        symbols, ratios = self.symbols[part].tolist(), self.ratios[part].tolist()
        entries = zip([self._characters[symbol] for symbol in symbols], ratios, strict=True)
        return list(entries), bool(self.is_single[node])
