"""A Kneser-Ney model of characters, from the counts of the passages of a text.

The probability of a character c after a context h of k characters interpolates with the context
h' that is one character shorter (Kneser and Ney 1995; Chen and Goodman 1999, section 3):

    p_k(c | h) = max(n(h c) - D(n(h c)), 0) / n(h) + backoff(h) p_{k-1}(c | h')
    backoff(h)    = the share of n(h) that the discounts D remove

with p_{-1} = 1 / V. For the longest contexts, n counts occurrences. For shorter contexts, n(h c)
counts the different characters that precede h c in the text; the start of the text counts as one.
Contexts that are unknown or not in the text are skipped.

A character that follows a longest context only once has a discount of 1, so it is not stored. On
tiny-shakespeare this halves the table and improves the loss.

The table is a trie. Node 0 is the empty context. The children of a node are the characters that
follow its context, and each child is also the context that is one character longer. Nodes are
numbered level by level; the children of a node are consecutive, and sorted by their ids.
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

# The discounts of counts of 1, 2, and 3 or more, fitted on tiny-shakespeare's validation split.
# Counts of the longest contexts are less reliable, because these contexts are rare.
DISCOUNTS = (0.8, 1.15, 1.4)
DISCOUNTS_BELOW_TOP = (0.9, 1.4, 1.65)
DISCOUNTS_TOP = (1.0, 1.5, 2.0)
_MANY = 255  # counts from here on are in another array of a file
_ARRAYS = ("characters", "counts", "many", "children", "dropped")
_LARGEST = np.iinfo(np.int32).max
_PROBABILITIES_AT_ONCE = 1 << 18
_MAX_CACHED = 1 << 21  # probabilities
_FEW_CHILDREN = 32
_RUN = 5  # no word repeats a character this often


@dataclass(frozen=True)
class CountTable:
    """The counts of a text; the docstring of the module explains them.

    Attributes:
        vocabulary_size: V.
        context: K, the length of the longest context in characters.
        characters: (M,), the last character of each node's passage; 0 for the root, node 0.
        counts: (M,), n of each node after its parent; 0 for the root.
        children: (I,), the number of children of the first I nodes: the contexts up to K.
        dropped: (I,), the number of characters that follow a longest context only once and are
            not stored; 0 for shorter contexts and for contexts without children.
    """

    vocabulary_size: int
    context: int
    characters: Nodes
    counts: Nodes
    children: Nodes
    dropped: Nodes

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file, each in the smallest unsigned type that fits."""
        arrays = {
            "characters": self.characters,
            "counts": np.minimum(self.counts, _MANY),
            "many": self.counts[self.counts >= _MANY],
            "children": self.children,
            "dropped": self.dropped,
        }
        return {
            name: values.astype(np.min_scalar_type(int(values.max(initial=0))))
            for name, values in arrays.items()
        }

    @classmethod
    def from_arrays(
        cls, vocabulary_size: int, context: int, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> CountTable:
        """Return the table of the arrays in a file.

        Raises:
            ValueError, KeyError: the arrays are not those of a table.
        """
        stored = [arrays[name] for name in _ARRAYS]
        if any(v.ndim != 1 or v.dtype.kind != "u" or v.max(initial=0) > _LARGEST for v in stored):
            raise ValueError("its counts are not arrays of whole numbers")
        characters, counts, many, children, dropped = (np.array(v, np.int32) for v in stored)
        nodes, inner, is_many = len(characters), len(children), counts >= _MANY
        if not (
            1 <= context <= LONGEST_CONTEXT
            and len(counts) == nodes == 1 + children.sum(dtype=np.int64)
            and 1 <= inner == len(dropped) <= nodes
            and len(many) == is_many.sum()
            and many.min(initial=_MANY) >= _MANY
        ):
            raise ValueError("its counts are not a valid table")
        counts[is_many] = many
        table = cls(vocabulary_size, context, characters, counts, children, dropped)
        if not table._is_trie():
            raise ValueError("its counts are not from a text with its vocabulary")
        return table

    def _is_trie(self) -> bool:
        """Return whether the nodes are sorted and contain the suffix of each passage."""
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
            and self._has_all_suffixes()
        )

    def _has_all_suffixes(self) -> bool:
        """Return whether each passage without its first character is also a passage."""
        V, levels = self.keys.dtype.type(self.vocabulary_size), self.levels
        suffixes = np.zeros(levels[2] - 1, self.keys.dtype)  # of the nodes of a level
        for first, stop, last in zip(levels[1:], levels[2:], levels[3:], strict=False):
            keys = np.repeat(suffixes * V, self.children[first:stop]) + self.characters[stop:last]
            shorter = self.keys[first - 1 : stop - 1]
            places = np.searchsorted(shorter, keys)
            if not np.array_equal(shorter.take(places, mode="clip"), keys):
                return False
            suffixes = (places + first).astype(self.keys.dtype)
        return True

    @cached_property
    def starts(self) -> Nodes:
        """The first child (I + 1,) of each node that can have children, and the end of the last."""
        return 1 + np.append(0, self.children).cumsum(dtype=np.int32)

    @cached_property
    def discounts(self) -> npt.NDArray[np.float64]:
        """The discounts (K + 1, 3) of counts of 1, 2, and more, by the length of the context."""
        below = [DISCOUNTS] * self.context
        if self.context > 1:
            below[-1] = DISCOUNTS_BELOW_TOP
        return np.array([*below, DISCOUNTS_TOP])

    @cached_property
    def levels(self) -> list[int]:
        """The first node of each level from 0 to K + 1, and the number of nodes (K + 3 numbers)."""
        levels = [0, 1]
        while levels[-1] > levels[-2] and levels[-2] < len(self.children):
            levels.append(int(self.starts[min(levels[-1], len(self.children))]))
        return levels

    @cached_property
    def keys(self) -> npt.NDArray[np.signedinteger[Any]]:
        """parent * V + character (M - 1,) of each node but the root, in ascending order."""
        parents = np.repeat(np.arange(len(self.children)), self.children)
        keys = parents * self.vocabulary_size + self.characters[1:]
        # A search in smaller keys is faster, because more of them fit into the cache.
        fits = len(self.children) * self.vocabulary_size < _LARGEST
        return keys.astype(np.int32) if fits else keys

    @cached_property
    def _mass_and_backoff(self) -> tuple[Floats, Floats]:
        """`mass` and `backoff`."""
        counts, has_children = self.counts[1:].astype(np.float64), self.children > 0
        lengths = np.repeat(np.arange(self.context + 1), np.diff(self.levels)[: self.context + 1])
        kinds = np.repeat(3 * lengths, self.children) + np.minimum(self.counts[1:], 3) - 1
        discounts = self.discounts.ravel()[kinds]
        firsts = self.starts[:-1][has_children] - 1
        totals, removed = self.dropped.astype(np.float64), self.dropped.astype(np.float64)
        totals[has_children] += np.add.reduceat(counts, firsts)
        removed[has_children] += np.add.reduceat(discounts, firsts)
        mass = np.maximum(counts - discounts, 0) / np.repeat(totals, self.children)
        backoff = np.divide(removed, totals, out=np.ones(len(totals)), where=has_children)
        return np.append(0, mass).astype(np.float32), backoff.astype(np.float32)

    @property
    def mass(self) -> Floats:
        """The probability (M,) that a node's count gives to its character after its parent."""
        return self._mass_and_backoff[0]

    @property
    def backoff(self) -> Floats:
        """The weight (I,) of the context that is one character shorter than each context."""
        return self._mass_and_backoff[1]

    @cached_property
    def unigram(self) -> Floats:
        """The probabilities (V,) after the empty context."""
        p = np.full(self.vocabulary_size, 1 / self.vocabulary_size, np.float32) * self.backoff[0]
        children = slice(1, self.starts[1])
        p[self.characters[children]] += self.mass[children]
        return p

    # -- prediction ------------------------------------------------------------------

    def zero_state(self, streams: int) -> Nodes:
        """Return the state (N, K) of streams before their first character: see `read`."""
        return np.zeros((streams, self.context), np.int32)

    def find_children(self, nodes: npt.NDArray[Any], ids: Ids) -> npt.NDArray[np.int64]:
        """Return the child of each node for a character; 0 if there is none.

        Args:
            nodes: of any shape. 0 is the root, so mask the zeros of an earlier result.
            ids: of the same shape.
        """
        keys = (nodes * np.int64(self.vocabulary_size) + ids).astype(self.keys.dtype)
        if not len(self.keys):
            return np.zeros_like(keys, np.int64)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places + 1, 0)

    @cached_property
    def runs(self) -> Nodes:
        """The contexts of K equal characters that the same character follows in the text.

        Such a context does not contain the length of the run, for example of an indentation. Long
        runs are counted more often, so the counts would continue runs for too long.
        """
        ids = np.arange(self.vocabulary_size if self.context >= _RUN - 1 else 0)
        contexts, longer = np.zeros_like(ids), self.find_children(np.zeros_like(ids), ids)
        for _ in range(self.context):
            contexts, longer = longer, np.where(longer > 0, self.find_children(longer, ids), 0)
        return contexts[longer > 0].astype(np.int32)

    def measure_contexts(self, nodes: Nodes) -> npt.NDArray[np.int64]:
        """Return the length (...) of the longest of contexts (..., K); K + 1 if it is in `runs`."""
        in_run = np.isin(nodes[..., -1], self.runs)
        return np.where(in_run, self.context + 1, np.count_nonzero(nodes, -1))

    def read(self, ids: Ids, state: Nodes) -> tuple[Floats, npt.NDArray[np.int64], Nodes]:
        """Read characters, and return the probabilities of the next character after each.

        Args:
            ids: (N, T), from 0.
            state: (N, K), the nodes of the contexts of 1 to K characters before the first id; 0
                if the context is not in the text or not known.

        Returns:
            The probabilities (N, T, V), the lengths (N, T) of the contexts (`measure_contexts`),
            and the state (N, K) after the last id.
        """
        nodes = self.find_contexts(ids, state)
        p = self.predict(nodes.reshape(-1, self.context))
        end = nodes[:, -1] if ids.shape[1] else state
        return p.reshape(*ids.shape, self.vocabulary_size), self.measure_contexts(nodes), end

    def find_contexts(self, ids: Ids, state: Nodes) -> Nodes:
        """Return the state (N, T, K) after each character (N, T); `state` is that before them."""
        nodes = np.empty((*ids.shape, self.context), np.int32)
        shorter = np.zeros(ids.shape, np.int32)
        for k in range(self.context):
            children = self.find_children(shorter, ids)
            # 0 is the root for contexts of one character. For longer ones it means "unknown".
            nodes[..., k] = children * (shorter > 0) if k else children
            shorter = np.concatenate([state[:, k : k + 1], nodes[:, :-1, k]], 1)[:, : ids.shape[1]]
        return nodes

    def read_next(self, ids: Ids, state: Nodes) -> tuple[Floats, npt.NDArray[np.int64], Nodes]:
        """Read one character per stream (N,), and return the same as `read` without T."""
        nodes = self.extend(ids, state)
        return self.predict(nodes), self.measure_contexts(nodes), nodes

    def extend(self, ids: Ids, state: Nodes) -> Nodes:
        """Return the state (N, K) after one more character (N,), for contexts of all lengths."""
        shorter = np.zeros_like(state)
        shorter[:, 1:] = state[:, :-1]
        nodes = self.find_children(shorter, ids[:, None])
        # 0 is the root in column 0, and "unknown" in the others
        nodes[:, 1:] *= shorter[:, 1:] > 0
        return nodes.astype(np.int32)

    def predict(self, nodes: npt.NDArray[Any]) -> Floats:
        """Return the probabilities (P, V) of the next character after contexts (P, K)."""
        p = np.empty((len(nodes), self.vocabulary_size), np.float32)
        rows = max(1, _PROBABILITIES_AT_ONCE // self.vocabulary_size)
        for first in range(0, len(nodes), rows):
            p[first : first + rows] = self._predict_rows(nodes[first : first + rows])
        return p

    def _predict_rows(self, nodes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        is_known = nodes > 0
        # The factor of a context is the product of the backoffs of all longer contexts.
        backoffs = np.where(is_known, self.backoff[nodes], 1)[:, ::-1]
        factors = np.ones((len(nodes), self.context + 1), np.float32)
        np.multiply.accumulate(backoffs, 1, out=factors[:, 1:])
        factors = factors[:, ::-1]
        rows, columns = np.nonzero(is_known)
        known = nodes[rows, columns]
        num_children = self.children[known]
        offsets = num_children.cumsum() - num_children
        children = np.repeat(self.starts[known] - offsets, num_children)
        children += np.arange(len(children), dtype=np.int32)
        mass = self.mass[children] * np.repeat(factors[rows, columns + 1], num_children)
        places = np.repeat(rows * self.vocabulary_size, num_children) + self.characters[children]
        p = np.bincount(places, mass, len(nodes) * self.vocabulary_size).reshape(len(nodes), -1)
        return p + self.unigram * factors[:, :1]

    def compute_loss(self, ids: Ids, state: Nodes) -> tuple[float, Nodes]:
        """Return the summed loss of a text without its first character, in nats.

        Args:
            ids: (T,), T >= 2.
            state: (1, K), before the first character.

        Returns:
            The loss, and the state before the last character.
        """
        contexts = self.find_contexts(ids[None], state)[0]
        p = self.unigram[ids[1:]].astype(np.float64)
        for k in range(self.context):
            nodes, is_longest = contexts[:-1, k], k + 1 == self.context
            longer = self.find_children(nodes, ids[1:]) if is_longest else contexts[1:, k + 1]
            is_known = (nodes > 0) & (self.children[nodes] > 0)
            p = np.where(is_known, self.backoff[nodes] * p + self.mass[longer], p)
        return -float(np.log(p).sum()), contexts[-2:-1]


class RecentContexts:
    """A table for a few streams that are written character by character.

    For the few numbers of a context, NumPy's calls would be slower than Python. So this class walks
    the trie in Python, and caches the predictions of recent contexts: a new prediction starts from
    the longest cached context. It is safe to share between threads.
    """

    def __init__(self, table: CountTable) -> None:
        self._table = table
        # Python reads single numbers from a memoryview faster than from an array.
        self._characters, self._starts = table.characters.data, table.starts.data
        self._mass, self._runs = table.mass.data, frozenset(table.runs.tolist())
        self._predictions: dict[int, Floats] = {}

    def read_next(self, ids: Ids, state: Nodes) -> tuple[Floats, Any, Nodes]:
        """Return the same as `CountTable.read_next`.

        For a single stream the arrays have no first axis.
        """
        if ids.ndim == 0:
            nodes = self.extend(int(ids), state.tolist())
            return self.predict(nodes), self._measure(nodes), np.array(self._pad(nodes), np.int32)
        rows = [self.extend(*pair) for pair in zip(ids.tolist(), state.tolist(), strict=True)]
        p = np.array([self.predict(nodes) for nodes in rows])
        padded = np.array([self._pad(nodes) for nodes in rows], np.int32)
        return p, np.array([self._measure(nodes) for nodes in rows]), padded

    def extend_state(self, ids: Ids, state: Nodes) -> Nodes:
        """Return the same as `CountTable.extend`; for a single stream without the first axis."""
        if ids.ndim == 0:
            return np.array(self._pad(self.extend(int(ids), state.tolist())), np.int32)
        return np.array(list(map(self.extend_state, ids, state)), np.int32)

    def _pad(self, nodes: list[int]) -> list[int]:
        return nodes + [0] * (self._table.context - len(nodes))

    def _measure(self, nodes: list[int]) -> int:
        """Return the same as `CountTable.measure_contexts`."""
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
        """Return the probabilities (V,) of the next character.

        `nodes` are those of the contexts of 1, 2, ... characters, without zeros. The caller must
        not change the result. The sums have the order and rounding of the compiled loop.
        """
        for cached in range(len(nodes), 0, -1):
            if (p := self._predictions.get(nodes[cached - 1])) is not None:
                break
        else:
            cached, p = 0, self._table.unigram
        for node in nodes[cached:]:
            p = self._interpolate(p, node)
            if len(self._predictions) * len(p) >= _MAX_CACHED:
                self._predictions.clear()
            self._predictions[node] = p
        return p

    def _interpolate(self, shorter: Floats, node: int) -> Floats:
        """Return the probabilities (V,) after a context from those after the next shorter one."""
        table, start, end = self._table, self._starts[node], self._starts[node + 1]
        p: Floats = shorter * table.backoff[node]
        if end - start > _FEW_CHILDREN:
            p[table.characters[start:end]] += table.mass[start:end]
        else:  # A call of NumPy would take longer.
            numbers: Any = p.data
            for child in range(start, end):
                numbers[self._characters[child]] += self._mass[child]
        return p
