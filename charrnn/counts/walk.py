"""The counts of one stream, a character at a time: what a text is written with."""

from __future__ import annotations

from bisect import bisect_left

from charrnn.counts.table import CountTable, Floats, Nodes


class Walk:
    """Steps one stream through a table; safe to share between threads.

    A state is the nodes of the contexts of 0, 1, ... characters that the table has, K at most:
    what `CountTable.read` calls one, without what is not known.
    """

    def __init__(self, table: CountTable) -> None:
        self.table = table
        self._ids, self._mass, self._left = table.characters, table.mass, table.left
        # plain numbers are faster than those of arrays where they are taken one by one
        self._characters, self._starts = table.characters.data, table.starts.data

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
            end = self._starts[node + 1]
            child = bisect_left(self._characters, id_, self._starts[node], end)
            if child == end or self._characters[child] != id_:
                break
            longer.append(child)
        return longer

    def predicted(self, nodes: list[int]) -> Floats:
        """p (V,) of the next character.

        The compiled loop adds up in the same order, and rounds to float32 at the same places.
        """
        p = self.table.unigram.copy()
        for node in nodes[1:]:
            children = slice(self._starts[node], self._starts[node + 1])
            p *= self._left[node]
            p[self._ids[children]] += self._mass[children]
        return p
