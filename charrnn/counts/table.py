"""A Kneser-Ney model of characters: how often each came after the contexts that a text has.

The probability of a character c after a context h of k characters interpolates with the context
h' that is one character shorter (Kneser and Ney 1995; Chen and Goodman 1999, section 3):

    p_k(c | h) = max(n(h c) - D(n(h c)), 0) / n(h) + backoff(h) p_{k-1}(c | h')
    backoff(h)    = the share of n(h) that the discounts D took away

with p_{-1} = 1 / V. For the longest contexts n counts occurrences. For shorter ones n(h c) counts
in how many different ways h c is preceded in the text, its beginning being one of them; a context
longer than what is known, or one that the text does not have, is passed over.

Of the longest contexts, what came after one only once is no evidence: its discount is 1, so that
nothing of it needs to be kept. On tiny-shakespeare this halves the table, and is better.

The table is a trie. Node 0 is the empty context; the children of a node are the characters that
came after it, and each child is at the same time the context that is longer by that character.
Nodes are numbered level by level, children of one node in a row, by their ids.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.options.ranges import LONGEST_CONTEXT

Ids = npt.NDArray[np.integer[Any]]
Nodes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

# Of counts of 1, 2, and 3 or more. Contexts that are nearly as long as the longest are rare ones,
# and less is to be believed of them; fitted on tiny-shakespeare's validation split.
DISCOUNTS = (0.8, 1.15, 1.4)
DISCOUNTS_BELOW_TOP = (0.9, 1.4, 1.65)
DISCOUNTS_TOP = (1.0, 1.5, 2.0)
_MANY = 255  # a count that a byte does not hold stands apart in a file
_ARRAYS = ("characters", "counts", "many", "children", "dropped")
_LARGEST = np.iinfo(np.int32).max
_AT_ONCE = 1 << 18  # numbers
_KEPT = 1 << 21  # numbers of all recent predictions
_FEW_CHILDREN = 32
_RUN = 5  # the same character so often in a row is no word's


@dataclass(frozen=True)
class CountTable:
    """The counts of a text; see the module's docstring for what they mean.

    Attributes:
        vocabulary_size: V.
        context: K, the longest context, in characters.
        characters: (M,), the character by which a node is longer than its parent; node 0 is the
            root, and has 0.
        counts: (M,), n of each node after its parent; node 0 has 0.
        children: (I,), how many children each of the first I nodes has, those of contexts up to K.
        dropped: (I,), how many characters came once after each of the longest contexts that has
            children, which are not kept; 0 for all others.
    """

    vocabulary_size: int
    context: int
    characters: Nodes
    counts: Nodes
    children: Nodes
    dropped: Nodes

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What a file holds, each in the smallest unsigned type that has room for it."""
        named = {
            "characters": self.characters,
            "counts": np.minimum(self.counts, _MANY),
            "many": self.counts[self.counts >= _MANY],
            "children": self.children,
            "dropped": self.dropped,
        }
        return {
            name: values.astype(np.min_scalar_type(int(values.max(initial=0))))
            for name, values in named.items()
        }

    @classmethod
    def from_arrays(
        cls, vocabulary_size: int, context: int, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> CountTable:
        """The table of a file's `arrays`, which are held to what a table can be.

        Raises:
            ValueError, KeyError: it is none.
        """
        stored = [arrays[name] for name in _ARRAYS]
        if any(v.ndim != 1 or v.dtype.kind != "u" or v.max(initial=0) > _LARGEST for v in stored):
            raise ValueError("its counts are no rows of whole numbers")
        characters, counts, many, children, dropped = (np.array(v, np.int32) for v in stored)
        nodes, inner, is_many = len(characters), len(children), counts >= _MANY
        if not (
            1 <= context <= LONGEST_CONTEXT
            and len(counts) == nodes == 1 + children.sum(dtype=np.int64)
            and 1 <= inner == len(dropped) <= nodes
            and len(many) == is_many.sum()
            and many.min(initial=_MANY) >= _MANY
        ):
            raise ValueError("its counts are not those of a text")
        counts[is_many] = many
        table = cls(vocabulary_size, context, characters, counts, children, dropped)
        if not table._is_trie():
            raise ValueError("its counts are not those of a text of this vocabulary")
        return table

    def _is_trie(self) -> bool:
        """Whether the nodes are those of a text's passages: in order, and with all their ends."""
        K, levels, characters = self.context, self.levels, self.characters
        may_drop = self.children > 0
        may_drop[: levels[K] if len(levels) > K else None] = False
        is_first = np.zeros(len(characters) + 1, bool)
        is_first[self.starts] = True
        return bool(
            len(levels) == K + 3
            and levels[-2] == len(self.children)
            and characters[0] == self.counts[0] == 0
            and characters.max() < self.vocabulary_size
            and self.counts[1:].min() > 0
            and ((characters[2:] > characters[1:-1]) | is_first[2:-1]).all()
            and not self.dropped[~may_drop].any()
            and self._has_all_ends()
        )

    def _has_all_ends(self) -> bool:
        """Whether each passage without its first character is a passage, too."""
        V = self.keys.dtype.type(self.vocabulary_size)
        ends = np.zeros(self.levels[2] - 1, self.keys.dtype)  # of the nodes of a level
        for first, stop, last in zip(
            self.levels[1:], self.levels[2:], self.levels[3:], strict=False
        ):
            keys = np.repeat(ends * V, self.children[first:stop]) + self.characters[stop:last]
            shorter = self.keys[first - 1 : stop - 1]
            found = np.searchsorted(shorter, keys)
            if not np.array_equal(shorter.take(found, mode="clip"), keys):
                return False
            ends = (found + first).astype(self.keys.dtype)
        return True

    @cached_property
    def starts(self) -> Nodes:
        """(I + 1,), the first child of each node that can have some."""
        return 1 + np.append(0, self.children).cumsum(dtype=np.int32)

    @cached_property
    def discounts(self) -> npt.NDArray[np.float64]:
        """(K + 1, 3), what is taken from counts of 1, 2, and more, by the context's length."""
        below = [DISCOUNTS] * self.context
        if self.context > 1:
            below[-1] = DISCOUNTS_BELOW_TOP
        return np.array([*below, DISCOUNTS_TOP])

    @cached_property
    def levels(self) -> list[int]:
        """(K + 3,), the first node of each level from 0 to K + 1, and their number in all."""
        found = [0, 1]
        while found[-1] > found[-2] and found[-2] < len(self.children):
            found.append(int(self.starts[min(found[-1], len(self.children))]))
        return found

    @cached_property
    def keys(self) -> npt.NDArray[np.signedinteger[Any]]:
        """(M - 1,), parent * V + character of each node but the root, in ascending order."""
        parents = np.repeat(np.arange(len(self.children)), self.children)
        keys = parents * self.vocabulary_size + self.characters[1:]
        # a search is as fast as the cache has room for what it looks at
        fits = len(self.children) * self.vocabulary_size < _LARGEST
        return keys.astype(np.int32) if fits else keys

    @cached_property
    def _shares(self) -> tuple[Floats, Floats]:
        """`mass` and `backoff`."""
        counts, has_children = self.counts[1:].astype(np.float64), self.children > 0
        lengths = np.repeat(np.arange(self.context + 1), np.diff(self.levels)[: self.context + 1])
        kinds = np.repeat(3 * lengths, self.children) + np.minimum(self.counts[1:], 3) - 1
        discounts = self.discounts.ravel()[kinds]
        firsts = self.starts[:-1][has_children] - 1
        totals, taken = self.dropped.astype(np.float64), self.dropped.astype(np.float64)
        totals[has_children] += np.add.reduceat(counts, firsts)
        taken[has_children] += np.add.reduceat(discounts, firsts)
        mass = np.maximum(counts - discounts, 0) / np.repeat(totals, self.children)
        left = np.divide(taken, totals, out=np.ones(len(totals)), where=has_children)
        return np.append(0, mass).astype(np.float32), left.astype(np.float32)

    @property
    def mass(self) -> Floats:
        """(M,), what a node's own count gives its character after its parent."""
        return self._shares[0]

    @property
    def backoff(self) -> Floats:
        """(I,), the share that a context leaves to the one that is a character shorter."""
        return self._shares[1]

    @cached_property
    def unigram(self) -> Floats:
        """(V,), p after nothing."""
        p = np.full(self.vocabulary_size, 1 / self.vocabulary_size, np.float32) * self.backoff[0]
        children = slice(1, self.starts[1])
        p[self.characters[children]] += self.mass[children]
        return p

    # -- predicting ------------------------------------------------------------------

    def zero_state(self, streams: int) -> Nodes:
        """The state (N, K) of streams that know nothing: see `read`."""
        return np.zeros((streams, self.context), np.int32)

    def child(self, nodes: npt.NDArray[Any], ids: Ids) -> npt.NDArray[np.int64]:
        """The child of each node by a character; 0 where there is none.

        Args:
            nodes: of any shape; contexts of K characters have no children that are contexts.
            ids: characters, of the same shape.
        """
        wanted = (nodes * np.int64(self.vocabulary_size) + ids).astype(self.keys.dtype)
        if not len(self.keys):
            return np.zeros_like(wanted, np.int64)
        found = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[found] == wanted, found + 1, 0)

    @cached_property
    def runs(self) -> Nodes:
        """The contexts of K times the same character that went on with it.

        Of the indentation before a line, say, they do not know how much is written already, which
        a network does; and the longer a run was, the more often it was counted.
        """
        ids = np.arange(self.vocabulary_size if self.context >= _RUN - 1 else 0)
        contexts, longer = np.zeros_like(ids), self.child(np.zeros_like(ids), ids)
        for _ in range(self.context):
            contexts, longer = longer, np.where(longer > 0, self.child(longer, ids), 0)
        return contexts[longer > 0].astype(np.int32)

    def lengths(self, nodes: Nodes) -> npt.NDArray[np.int64]:
        """(...), the length of the longest of contexts (..., K); K + 1 where it is of `runs`."""
        in_run = np.isin(nodes[..., -1], self.runs)
        return np.where(in_run, self.context + 1, np.count_nonzero(nodes, -1))

    def read(self, ids: Ids, state: Nodes) -> tuple[Floats, npt.NDArray[np.int64], Nodes]:
        """The probabilities of the characters after each of some.

        Args:
            ids: (N, T), from 0.
            state: (N, K), the nodes of the contexts of 1 to K characters before the first of
                them; 0 where the text has no such context, or so much is not known.

        Returns:
            p (N, T, V) of the character after each, `lengths` (N, T) there, and the state (N, K)
            after the last.
        """
        nodes = self.contexts(ids, state)
        p = self.predicted(nodes.reshape(-1, self.context))
        end = nodes[:, -1] if ids.shape[1] else state
        return p.reshape(*ids.shape, self.vocabulary_size), self.lengths(nodes), end

    def contexts(self, ids: Ids, state: Nodes) -> Nodes:
        """The states (N, T, K) after each of some characters (N, T)."""
        nodes = np.empty((*ids.shape, self.context), np.int32)
        shorter = np.zeros(ids.shape, np.int32)
        for k in range(self.context):
            found = self.child(shorter, ids)
            # but for the root, 0 means that there is no such context to be longer than
            nodes[..., k] = found * (shorter > 0) if k else found
            shorter = np.concatenate([state[:, k : k + 1], nodes[:, :-1, k]], 1)[:, : ids.shape[1]]
        return nodes

    def read_next(self, ids: Ids, state: Nodes) -> tuple[Floats, npt.NDArray[np.int64], Nodes]:
        """Return p (N, V) after one more character (N,), `lengths` (N,) there, and the state."""
        nodes = self.extend(ids, state)
        return self.predicted(nodes), self.lengths(nodes), nodes

    def extend(self, ids: Ids, state: Nodes) -> Nodes:
        """Return the state (N, K) after one more character (N,), for contexts of all lengths."""
        shorter = np.zeros_like(state)
        shorter[:, 1:] = state[:, :-1]
        nodes = self.child(shorter, ids[:, None])
        nodes[:, 1:] *= shorter[:, 1:] > 0
        return nodes.astype(np.int32)

    def predicted(self, nodes: npt.NDArray[Any]) -> Floats:
        """p (P, V) of the character after contexts (P, K), as states have them."""
        p = np.empty((len(nodes), self.vocabulary_size), np.float32)
        rows = max(1, _AT_ONCE // self.vocabulary_size)
        for first in range(0, len(nodes), rows):
            p[first : first + rows] = self._predicted(nodes[first : first + rows])
        return p

    def _predicted(self, nodes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        is_known = nodes > 0
        # what a context's own children are multiplied with: all that the longer ones leave
        left = np.where(is_known, self.backoff[nodes], 1)[:, ::-1]
        leave = np.ones((len(nodes), self.context + 1), np.float32)
        np.multiply.accumulate(left, 1, out=leave[:, 1:])
        leave = leave[:, ::-1]
        rows, columns = np.nonzero(is_known)
        known = nodes[rows, columns]
        counts = self.children[known]
        ends = counts.cumsum()
        at = np.repeat(self.starts[known] - ends + counts, counts)
        at += np.arange(len(at), dtype=np.int32)
        mass = self.mass[at] * np.repeat(leave[rows, columns + 1], counts)
        at = np.repeat(rows * self.vocabulary_size, counts) + self.characters[at]
        p = np.bincount(at, mass, len(nodes) * self.vocabulary_size).reshape(len(nodes), -1)
        return p + self.unigram * leave[:, :1]

    def nats(self, ids: Ids, state: Nodes) -> tuple[float, Nodes]:
        """What a text takes in all, the first of its characters left out.

        Args:
            ids: (T,), T >= 2.
            state: (1, K), before the first.

        Returns:
            The loss, and the state before the last.
        """
        nodes = self.contexts(ids[None], state)[0]
        p = self.unigram[ids[1:]].astype(np.float64)
        for k in range(self.context):
            at = nodes[:-1, k]
            longer = self.child(at, ids[1:]) if k + 1 == self.context else nodes[1:, k + 1]
            is_known = (at > 0) & (self.children[at] > 0)
            p = np.where(is_known, self.backoff[at] * p + self.mass[longer], p)
        return -float(np.log(p).sum()), nodes[-2:-1]


class RecentContexts:
    """A table for a few streams that are written character by character.

    There NumPy's calls would take longer than the few numbers of a context. So this class walks the
    trie in Python, and keeps the predictions of recent contexts: a new prediction starts at the
    longest of its contexts that was predicted before. It is safe to share between threads.
    """

    def __init__(self, table: CountTable) -> None:
        self._table = table
        # Python reads single numbers from a memoryview faster than from an array.
        self._characters, self._starts = table.characters.data, table.starts.data
        self._mass, self._runs = table.mass.data, frozenset(table.runs.tolist())
        self._predictions: dict[int, Floats] = {}

    def read_next(self, ids: Ids, state: Nodes) -> tuple[Floats, Any, Nodes]:
        """Return p (N, V) after one more character (N,), its `lengths` (N,), and the state (N, K).

        For a single stream the arrays have no first axis.
        """
        if ids.ndim == 0:
            nodes = self.extend(int(ids), state.tolist())
            return self.predict(nodes), self._length(nodes), np.array(self._pad(nodes), np.int32)
        each = [self.extend(*pair) for pair in zip(ids.tolist(), state.tolist(), strict=True)]
        p = np.array([self.predict(nodes) for nodes in each])
        padded = np.array([self._pad(nodes) for nodes in each], np.int32)
        return p, np.array([self._length(nodes) for nodes in each]), padded

    def _pad(self, nodes: list[int]) -> list[int]:
        return nodes + [0] * (self._table.context - len(nodes))

    def _length(self, nodes: list[int]) -> int:
        in_run = bool(nodes) and nodes[-1] in self._runs
        return self._table.context + 1 if in_run else len(nodes)

    def extend(self, id_: int, nodes: list[int]) -> list[int]:
        """Return the nodes of the known contexts after one more character.

        Args:
            nodes: of the contexts of 1 to K characters; 0 for unknown contexts.
        """
        characters, starts = self._characters, self._starts
        longer: list[int] = []
        shorter = 0
        for node in nodes:
            end = starts[shorter + 1]
            child = bisect_left(characters, id_, starts[shorter], end)
            if child == end or characters[child] != id_:
                break
            longer.append(child)
            if not node:
                break
            shorter = node
        return longer

    def predict(self, nodes: list[int]) -> Floats:
        """Return p (V,) after the contexts of 1, 2, ... characters. The caller must not change it.

        The sums have the order and the rounding of the compiled loop.
        """
        for known in range(len(nodes), 0, -1):
            if (p := self._predictions.get(nodes[known - 1])) is not None:
                break
        else:
            known, p = 0, self._table.unigram
        for node in nodes[known:]:
            p = self._interpolate(p, node)
            if len(self._predictions) * len(p) >= _KEPT:
                self._predictions.clear()
            self._predictions[node] = p
        return p

    def _interpolate(self, shorter: Floats, node: int) -> Floats:
        """Return p (V,) after a context, from p after the context that is one character shorter."""
        table, start, end = self._table, self._starts[node], self._starts[node + 1]
        p: Floats = shorter * table.backoff[node]
        if end - start > _FEW_CHILDREN:
            p[table.characters[start:end]] += table.mass[start:end]
        else:  # A call of NumPy takes as long as several of these.
            numbers: Any = p.data
            for child in range(start, end):
                numbers[self._characters[child]] += self._mass[child]
        return p
