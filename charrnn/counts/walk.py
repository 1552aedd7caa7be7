"""The counts of one stream, a character at a time: what a text is written with.

Nothing of a table is prepared. What a context predicts is computed when a text comes to it, from
what the context that is a character shorter predicts, which is mostly still at hand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np

from charrnn.counts.table import CountTable, Floats, Nodes

_KEPT = 1 << 21  # numbers, of predictions that may be asked for again
_FEW = 32  # children


class Walk:
    """Steps one stream through a table; safe to share between threads.

    A state is the nodes of the contexts of 0, 1, ... characters that the table has, K at most:
    what `CountTable.read` calls one, without what is not known.
    """

    def __init__(self, table: CountTable) -> None:
        self.table = table
        self._characters = table.characters.data
        self._starts = table.starts.data
        self._counts = table.counts.data
        self._dropped = table.dropped.data
        self._discounts = [(0.0, *row) for row in table.discounts.tolist()]
        self._kept = max(1, _KEPT // table.vocabulary_size)
        V = table.vocabulary_size
        self._uniform = np.full(V, np.float32(1) / np.float32(V))
        self._predicted: dict[int, Floats] = {}

    def nodes(self, state: Nodes) -> list[int]:
        """The state of a stream that `CountTable.read` left in this one (K,)."""
        nodes = state.tolist()
        return [0, *nodes[: nodes.index(0) if 0 in nodes else None]]

    def state(self, nodes: list[int]) -> Nodes:
        """The other way round."""
        state = self.table.beginning(1)[0]
        state[: len(nodes) - 1] = nodes[1:]
        return state

    def after(self, nodes: list[int], id_: int) -> list[int]:
        """The state after a character."""
        longer = [0]
        for node in nodes[: self.table.context]:
            child = self._child(node, id_)
            if not child:
                break
            longer.append(child)
        return longer

    def _child(self, node: int, id_: int) -> int:
        """The context that is longer by a character; 0 where there is none."""
        end = self._starts[node + 1]
        child = bisect_left(self._characters, id_, self._starts[node], end)
        return child if child < end and self._characters[child] == id_ else 0

    def predicted(self, nodes: list[int]) -> Floats:
        """p (V,) of the next character; not to be changed."""
        known, p = len(nodes) - 1, self._uniform
        while known >= 0:
            if (kept := self._predicted.get(nodes[known])) is not None:
                p = kept
                break
            known -= 1
        for length in range(known + 1, len(nodes)):
            p = self._interpolated(p, nodes[length], length)
        return p

    def _interpolated(self, shorter: Floats, node: int, length: int) -> Floats:
        """What a context predicts, by what the shorter one does."""
        characters, numbers, dropped = self._children(node)
        if not len(numbers):
            return shorter
        p = interpolated(shorter, characters, numbers, dropped, self._discounts[length])
        if len(self._predicted) >= self._kept:
            self._predicted.clear()
        self._predicted[node] = p
        return p

    def _children(self, node: int) -> tuple[Sequence[int], Sequence[int], int]:
        """What came after a context, how often each, and how often what is not kept."""
        children = slice(self._starts[node], self._starts[node + 1])
        return self._characters[children], self._counts[children], self._dropped[node]


def interpolated(
    shorter: Floats,
    characters: Sequence[int],
    numbers: Sequence[int],
    dropped: int,
    discounts: Sequence[float],
) -> Floats:
    """p (V,) after a context, by that of the shorter one; see `charrnn.counts.table`.

    The compiled loop adds up in the same order, and rounds to float32 at the same places.

    Args:
        characters, numbers: what came after it, one or more, and how often each.
        dropped: how many others came after it.
        discounts: what is taken from counts of 0, 1, 2, and more.
    """
    many = len(numbers) > _FEW
    if many:
        counts = np.array(numbers, np.float64)
        kinds = np.minimum(counts, 3).astype(int)
        _, ones, twos, more = np.bincount(kinds, minlength=4).tolist()
        whole = counts.sum() + dropped
        mass = ((counts - np.array(discounts)[kinds]) / whole).astype(np.float32)
    else:  # one by one, since a call of NumPy takes as long as several of them
        numbers = list(numbers)
        ones, twos = numbers.count(1), numbers.count(2)
        more = len(numbers) - ones - twos
        whole = sum(numbers) + dropped
        mass = array("f", [(n - discounts[n if n < 3 else 3]) / whole for n in numbers])
    taken = dropped + discounts[1] * ones + discounts[2] * twos + discounts[3] * more
    p: Floats = shorter * np.float32(taken / whole)
    if many:
        p[np.asarray(characters)] += mass
        return p
    own: Any = p.data
    for character, share in zip(characters, mass, strict=True):
        own[character] += share
    return p
