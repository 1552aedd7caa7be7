"""The counts of one stream, a character at a time: what a text is written with.

Nothing of a table is prepared. What a context predicts is computed when a text comes to it, from
what the context that is a character shorter predicts, which is mostly still at hand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

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
        characters, starts, longer = self._characters, self._starts, [0]
        for node in nodes[: self.table.context]:
            end = starts[node + 1]
            child = bisect_left(characters, id_, starts[node], end)
            if child == end or characters[child] != id_:
                break
            longer.append(child)
        return longer

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
        first, last = self._starts[node], self._starts[node + 1]
        if first == last:
            return shorter
        few = self._of_few if last - first <= _FEW else self._of_many
        p = few(shorter, node, length, first, last)
        if len(self._predicted) >= self._kept:
            self._predicted.clear()
        self._predicted[node] = p
        return p

    # Both add up in one order, and round to float32 at the same places, as the compiled loop does.

    def _of_few(self, shorter: Floats, node: int, length: int, first: int, last: int) -> Floats:
        """Of few children, one by one: a call of NumPy takes as long as several of them."""
        numbers = self._counts[first:last].tolist()
        each = self._discounts[length]
        ones, twos = numbers.count(1), numbers.count(2)
        more = len(numbers) - ones - twos
        taken = self._dropped[node] + each[1] * ones + each[2] * twos + each[3] * more
        total = sum(numbers) + self._dropped[node]
        p: Floats = shorter * np.float32(taken / total)
        own, characters = p.data, self._characters[first:last]
        masses = array("f", [(n - (each[n] if n < 3 else each[3])) / total for n in numbers])
        for character, mass in zip(characters, masses, strict=True):
            own[character] += mass
        return p

    def _of_many(self, shorter: Floats, node: int, length: int, first: int, last: int) -> Floats:
        counts = self.table.counts[first:last].astype(np.float64)
        discounts, which = self.table.discounts[length], np.minimum(counts, 3).astype(int) - 1
        taken = float(self._dropped[node])
        for discount, number in zip(discounts, np.bincount(which, minlength=3), strict=True):
            taken += discount * number
        total = counts.sum() + self._dropped[node]
        p: Floats = shorter * np.float32(taken / total)
        p[self.table.characters[first:last]] += ((counts - discounts[which]) / total).astype(
            np.float32
        )
        return p
