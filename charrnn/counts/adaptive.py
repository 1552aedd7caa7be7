"""Counts that go on counting: of a text that is scored, each character after its score.

Three predictions of a character are mixed: the network's, that of the counts of the training text
and of what was scored together, and that of the counts of what was scored alone. As in
`charrnn.counts.mixing`, ln p is their weighted sum, normalized. The weights begin as the mean of
the model's, nothing for the scored text, and go down the gradient of each character's loss after
it is scored, as in PAQ (Mahoney 2005, "Adaptive weighing of context models for lossless data
compression"). They are the same after every context: on tiny-shakespeare weights that change with
its length, as the model's do, are 0.001 nats better here.

What comes after a context is counted from the longest context down to the first after which it
came before. So a shorter context counts in how many ways a passage is preceded, as in
`charrnn.counts.table`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts
from charrnn.counts.table import CountTable, Floats
from charrnn.counts.walk import Walk, interpolated

# Contexts that a table may have beside those of the training text, 16 bytes each; a character
# has some 5. When they are used up, only what is known is counted.
ROOM = 1 << 21
RATE = 1e-3


class GrowingWalk(Walk):
    """Steps one stream through a table that counts it; the table itself stays as it is.

    Args:
        room: for so many new contexts.
    """

    def __init__(self, table: CountTable, room: int = ROOM) -> None:
        super().__init__(table)
        self._inner, self._end = len(table.children), len(table.characters)

        def grown(values: npt.NDArray[Any]) -> Any:
            array = np.zeros(self._end + room, np.int32)
            array[: len(values)] = values
            return array.data

        self._characters, self._counts = grown(table.characters), grown(table.counts)
        # the children that a node has beside the table's: the newest, and the one before each
        nothing = table.counts[:0]
        self._newest, self._before = grown(nothing), grown(nothing)
        self._last = self._end + room

    def after(self, nodes: list[int], id_: int) -> list[int]:
        """The state after a character, which is counted."""
        longer, counts, is_new = [], self._counts, True
        for node in reversed(nodes):
            child = self._child(node, id_)
            if is_new:
                is_new = not child
                child = child or self._added(node, id_)
                counts[child] += 1
            longer.append(child)
        longer.append(0)
        longer.reverse()
        # without room, the longest contexts are not known
        known = longer.index(0, 1) if 0 in longer[1:] else len(longer)
        return longer[: min(known, self.table.context + 1)]

    def predicted(self, nodes: list[int]) -> Floats:
        p = self._uniform
        for length, node in enumerate(nodes):
            p = self._interpolated(p, node, length)
        return p

    def _interpolated(self, shorter: Floats, node: int, length: int) -> Floats:
        characters: list[int] = []
        numbers: list[int] = []
        dropped = 0
        if node < self._inner:
            characters[:], numbers[:], dropped = self._children(node)
        child = self._newest[node]
        while child:
            characters.append(self._characters[child])
            numbers.append(self._counts[child])
            child = self._before[child]
        if not numbers:
            return shorter
        return interpolated(shorter, characters, numbers, dropped, self._discounts[length])

    def _child(self, node: int, id_: int) -> int:
        """What came after a context; 0 where it did not."""
        if node < self._inner and (child := super()._child(node, id_)):
            return child
        child = self._newest[node]
        while child and self._characters[child] != id_:
            child = self._before[child]
        return child

    def _added(self, node: int, id_: int) -> int:
        """A new child of a context; 0, whose count means nothing, where there is no room."""
        if self._end == self._last:
            return 0
        child, self._end = self._end, self._end + 1
        self._characters[child] = id_
        self._newest[node], self._before[child] = child, self._newest[node]
        return child


class AdaptiveCounts:
    """Scores one stream with counts that go on counting.

    Args:
        counts: of the training text; if their weights leave the network no say, it has none.
        room: of each of the two tables that grow.

    Attributes:
        weights: (3,), of the network, of all counts, and of those of the scored text.
    """

    def __init__(self, counts: Counts, room: int = ROOM) -> None:
        table, nothing = counts.table, np.zeros(1, np.uint8)
        empty = CountTable(table.vocabulary_size, table.context, *[nothing] * 4)
        self._walks = [GrowingWalk(table, room), GrowingWalk(empty, room)]
        self._states: list[list[int]] = []
        self.weights = np.array([*np.mean(counts.weights, 1), 0.0])
        self._follow = np.array([counts.needs_network, True, True])
        self._total, self._characters = 0.0, 0

    @property
    def loss(self) -> float:
        """Nats per character of what was read."""
        return self._total / self._characters

    def read(self, ids: npt.NDArray[Any], network: Floats | None = None) -> None:
        """Score a part of the stream, and count it.

        Args:
            ids: (T + 1,), the first of which is the last of the part before.
            network: ln p (T, V) of those after the first.
        """
        if not self._states:
            self._states = [[0], [0]]
            self._count(int(ids[0]))
        scores = np.zeros((3, self._walks[0].table.vocabulary_size))
        for t, target in enumerate(ids[1:].tolist()):
            if network is not None:
                scores[0] = network[t]
            for row, walk, state in zip((1, 2), self._walks, self._states, strict=True):
                np.log(walk.predicted(state), out=scores[row])
            mix = self.weights @ scores
            mix -= mix.max()
            p = np.exp(mix)
            p /= p.sum()
            self._total -= float(np.log(p[target]))
            self.weights += RATE * self._follow * (scores[:, target] - scores @ p)
            self._count(target)
        self._characters += len(ids) - 1

    def _count(self, id_: int) -> None:
        walks = zip(self._walks, self._states, strict=True)
        self._states = [walk.after(state, id_) for walk, state in walks]
