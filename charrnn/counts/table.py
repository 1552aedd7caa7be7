"""Tables of counts in a model file, and the main one: a Kneser-Ney model of characters.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from charrnn.counts.tries import Floats, Nodes, list_ranges
from charrnn.options.ranges import LONGEST_CONTEXT

# The discounts of counts of 1, 2, and 3 or more, fitted on tiny-shakespeare's validation split.
# Counts of the longest contexts are less reliable, because these contexts are rare.
DISCOUNTS = (0.8, 1.15, 1.4)
DISCOUNTS_TOP = (1.0, 1.5, 2.0)

Arrays = Mapping[str, npt.NDArray[Any]]
_LARGEST = np.iinfo(np.int32).max


class Table:
    """A table in a model file.

    Attributes:
        title: its name in messages.
        prefix: of the arrays' names.
        columns: the attributes that the file has.
    """

    title: ClassVar[str]
    prefix: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file, each in the smallest unsigned type that fits."""
        columns = {self.prefix + name: getattr(self, name).ravel() for name in self.columns}
        return {
            name: values.astype(np.min_scalar_type(int(values.max(initial=0))))
            for name, values in columns.items()
        }

    @classmethod
    def read_columns(cls, arrays: Arrays) -> list[Nodes]:
        """Return the columns in a file, as int32.

        Raise KeyError if one is missing, ValueError if they are invalid.
        """
        columns = [arrays[cls.prefix + name] for name in cls.columns]
        for values in columns:
            if values.ndim != 1 or values.dtype.kind != "u" or values.max(initial=0) > _LARGEST:
                raise ValueError(f"its {cls.title} are not arrays of whole numbers")
        return [values.astype(np.int32) for values in columns]


@dataclass(frozen=True)
class CountTable(Table):
    """The counts of a text; the docstring of the module explains them."""

    title, prefix = "counts", ""
    columns = ("characters", "counts", "children", "dropped")

    vocabulary_size: int  # V
    context: int  # K, the length of the longest context in characters
    characters: Nodes  # (M,), the last character of each node's passage; 0 for the root, node 0
    counts: Nodes  # (M,), n of each node after its parent; 0 for the root
    children: Nodes  # (I,), the number of children of the first I nodes: the contexts up to K
    # (I,), the number of characters that follow a longest context only once and are not stored; 0
    # for shorter contexts and for contexts without children
    dropped: Nodes

    @classmethod
    def from_arrays(cls, vocabulary_size: int, context: int, arrays: Arrays) -> CountTable:
        """Return the table in a file. Raise ValueError or KeyError if it is invalid."""
        characters, counts, children, dropped = cls.read_columns(arrays)
        nodes, inner = len(characters), len(children)
        if not (
            1 <= context <= LONGEST_CONTEXT
            and len(counts) == nodes == 1 + children.sum(dtype=np.int64)
            and 1 <= inner == len(dropped) <= nodes
        ):
            raise ValueError("its counts are not a valid table")
        table = cls(vocabulary_size, context, characters, counts, children, dropped)
        if not table._is_trie():
            raise ValueError("its counts are not from a text with its vocabulary")
        return table

    def _is_trie(self) -> bool:
        """Return whether the nodes are sorted levels of a trie with this vocabulary."""
        K, levels, characters = self.context, self.levels, self.characters
        are_firsts = np.zeros(len(characters) + 1, bool)  # of the children of a node
        are_firsts[self.starts] = True
        may_drop = self.children > 0
        may_drop[: levels[K] if len(levels) > K else None] = False
        return bool(
            len(levels) == K + 3
            and levels[-2] == len(self.children)
            and characters[0] == self.counts[0] == 0
            and characters.max() < self.vocabulary_size
            and self.counts[1:].min() > 0
            and (are_firsts[2:-1] | (np.diff(characters[1:]) > 0)).all()
            and not self.dropped[~may_drop].any()
        )

    @cached_property
    def starts(self) -> Nodes:
        """The first child (I + 1,) of each node that can have children, and the end of the last."""
        return 1 + np.append(0, self.children).cumsum(dtype=np.int32)

    @cached_property
    def discounts(self) -> npt.NDArray[np.float64]:
        """The discounts (K + 1, 3) of counts of 1, 2, and more, by the length of the context."""
        return np.array([*[DISCOUNTS] * self.context, DISCOUNTS_TOP])

    @cached_property
    def levels(self) -> list[int]:
        """The first node of each level from 0 to K + 1, and the number of nodes (K + 3 numbers)."""
        levels = [0, 1]
        while levels[-1] > levels[-2] and levels[-2] < len(self.children):
            levels.append(int(self.starts[min(levels[-1], len(self.children))]))
        return levels

    @cached_property
    def mass_and_backoff(self) -> tuple[Floats, Floats]:
        """The probability (M,) that a node's count gives to its character after its parent.

        The second array is the weight (I,) of the context that is one character shorter.
        """
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

    @cached_property
    def unigram(self) -> Floats:
        """The probabilities (V,) after the empty context."""
        mass, backoff = self.mass_and_backoff
        p = np.full(self.vocabulary_size, 1 / self.vocabulary_size, np.float32) * backoff[0]
        children = slice(1, self.starts[1])
        p[self.characters[children]] += mass[children]
        return p

    # -- prediction ------------------------------------------------------------------

    def extend(self, id_: int, nodes: Sequence[int]) -> list[int]:
        """Return the nodes (K,) of the contexts of 1 to K characters after one more character.

        Args:
            nodes: (K,), those before the character. 0: the context is not in the text, or unknown.
        """
        # Python reads single numbers from a memoryview faster than from an array.
        characters, starts, after = self.characters.data, self.starts.data, [0] * len(nodes)
        # The new context of k + 1 characters is the old one of k characters and id_, so it is a
        # child of the old one.
        parent = 0
        for k, node in enumerate(nodes):
            end = starts[parent + 1]
            child = bisect_left(characters, id_, starts[parent], end)
            if child == end or characters[child] != id_:
                break  # Longer contexts do not exist either.
            after[k] = child
            if not node:
                break
            parent = node
        return after

    def predict(self, nodes: npt.NDArray[Any]) -> Floats:
        """Return the probabilities (P, V) of the next character after contexts (P, K)."""
        is_known, (mass, backoff) = nodes > 0, self.mass_and_backoff
        # The factor of a context is the product of the backoffs of all longer contexts.
        backoffs = np.where(is_known, backoff[nodes], 1)[:, ::-1]
        factors = np.ones((len(nodes), self.context + 1), np.float32)
        np.multiply.accumulate(backoffs, 1, out=factors[:, 1:])
        factors = factors[:, ::-1]
        rows, columns = np.nonzero(is_known)
        known = nodes[rows, columns]
        num_children = self.children[known]
        children = list_ranges(self.starts[known], num_children)
        masses = mass[children] * np.repeat(factors[rows, columns + 1], num_children)
        places = np.repeat(rows * self.vocabulary_size, num_children) + self.characters[children]
        p = np.bincount(places, masses, len(nodes) * self.vocabulary_size).reshape(len(nodes), -1)
        return (p + self.unigram * factors[:, :1]).astype(np.float32)
