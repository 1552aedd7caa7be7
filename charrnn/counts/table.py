"""A Kneser-Ney model of characters: how often each came after the contexts that a text has.

The probability of a character c after a context h of k characters interpolates with the context
h' that is one character shorter (Kneser and Ney 1995; Chen and Goodman 1999, section 3):

    p_k(c | h) = max(n(h c) - D(n(h c)), 0) / n(h) + left(h) p_{k-1}(c | h')
    left(h)    = the share of n(h) that the discounts D took away

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

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.options.ranges import LONGEST_CONTEXT

Ids = npt.NDArray[np.integer[Any]]
Nodes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

MAX_CONTEXT = 8
# A longer context is not taken where its table would have more nodes; a file has some 3 bytes for
# each. Of a megabyte these are contexts of 6 characters, or 7 of a text that repeats itself more.
MAX_NODES = 1_100_000
_AT_ONCE = 1 << 18  # numbers
_AT_HAND = 1 << 20  # numbers of predictions
# So many characters of a held-out text say how long contexts are; more are scored in such parts
TRIED = 1 << 17
_MANY = 255  # a count that a byte does not hold stands apart
# Of counts of 1, 2, and 3 or more. Contexts that are nearly as long as the longest are rare ones,
# and less is to be believed of them; fitted on tiny-shakespeare's validation split.
DISCOUNTS = (0.8, 1.15, 1.4)
DISCOUNTS_BELOW_TOP = (0.9, 1.4, 1.65)
DISCOUNTS_TOP = (1.0, 1.5, 2.0)


class Reading(NamedTuple):
    """What `CountTable.read` found.

    Attributes:
        p: (N, T, V), of the character after each that was read.
        lengths: (N, T), of the longest context that the table has there, K at most.
        state: (N, K), after the last.
    """

    p: Floats
    lengths: npt.NDArray[np.int64]
    state: Nodes


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
    characters: Ids
    counts: Ids
    children: Ids
    dropped: Ids

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What a file holds, each in the smallest unsigned type that has room for it."""
        counts = self.counts.astype(np.int64)
        named = {
            "characters": self.characters,
            "counts": np.minimum(counts, _MANY),
            "many": counts[counts >= _MANY],
            "children": self.children,
            "dropped": self.dropped,
        }
        return {name: _smallest(values) for name, values in named.items()}

    @classmethod
    def from_arrays(
        cls, vocabulary_size: int, context: int, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> CountTable:
        """The table of `arrays`, each of which is held to what a table can be.

        Raises:
            ValueError, KeyError: it is none.
        """
        names = ("characters", "counts", "many", "children", "dropped")
        characters, counts, many, children, dropped = (arrays[name] for name in names)
        if any(array.ndim != 1 or array.dtype.kind != "u" for array in arrays.values()):
            raise ValueError("its counts are no rows of whole numbers")
        stands_apart = counts >= _MANY
        if stands_apart.sum() != len(many) or int(many.min(initial=_MANY)) < _MANY:
            raise ValueError("its counts are not those of a text")
        counts = counts.astype(np.promote_types(counts.dtype, many.dtype))
        counts[stands_apart] = many
        inner, nodes = len(children), len(characters)
        if not 1 <= context <= LONGEST_CONTEXT or not 1 <= inner <= nodes or len(dropped) != inner:
            raise ValueError("its counts are not those of a text")
        if len(counts) != nodes or 1 + int(children.sum(dtype=np.int64)) != nodes:
            raise ValueError("its counts are not those of a text")
        made = cls(vocabulary_size, context, characters, counts, children, dropped)
        if nodes > 1:
            if int(characters.max()) >= vocabulary_size or int(counts[1:].min()) < 1:
                raise ValueError("its counts are not those of this vocabulary")
            # children are in order and different, and there are as many levels as are said
            is_first = np.zeros(nodes + 1, bool)
            is_first[made.starts] = True
            in_order = (characters[2:] > characters[1:-1]) | is_first[2:-1]
            levels = made.levels
            whole = len(levels) == context + 3 and levels[-2] == inner
            if not in_order.all() or not whole:
                raise ValueError("its counts are not in order")
        return made

    @cached_property
    def starts(self) -> npt.NDArray[np.int32]:
        """(I + 1,), the first child of each node that can have some."""
        starts = np.ones(len(self.children) + 1, np.int32)
        starts[1:] += np.cumsum(self.children, dtype=np.int32)
        return starts

    @cached_property
    def discounts(self) -> npt.NDArray[np.float64]:
        """(K + 1, 3), what is taken from counts of 1, 2, and more, by the context's length."""
        return np.array([discounts_of(k, self.context) for k in range(self.context + 1)])

    @cached_property
    def levels(self) -> list[int]:
        """(K + 3,), the first node of each level from 0 to K + 1, and their number in all."""
        found = [0, 1]
        while found[-1] > found[-2] and found[-2] < len(self.children):
            last = min(found[-1], len(self.children))
            found.append(int(self.starts[last]))
        return found

    @cached_property
    def keys(self) -> npt.NDArray[np.signedinteger[Any]]:
        """(M - 1,), parent * V + character of each node but the root, in ascending order."""
        parents = np.repeat(np.arange(len(self.children)), self.children)
        keys = parents * self.vocabulary_size + self.characters[1:]
        # a search is as fast as the cache has room for what it looks at
        fits = len(self.children) * self.vocabulary_size < 1 << 31
        return keys.astype(np.int32) if fits else keys

    @cached_property
    def _shares(self) -> tuple[Floats, Floats]:
        """`mass` and `left`."""
        inner = len(self.children)
        parents = np.repeat(np.arange(inner, dtype=np.int32), self.children)
        counts = self.counts[1:].astype(np.float64)
        totals = np.bincount(parents, counts, inner) + self.dropped
        lengths = np.repeat(np.arange(self.context + 1), np.diff(self.levels)[: self.context + 1])
        kinds = np.minimum(self.counts[1:], 3).astype(np.int8) - 1
        mass = np.maximum(counts - self.discounts[lengths[parents], kinds], 0) / totals[parents]
        each = np.bincount(3 * parents + kinds, minlength=3 * inner).reshape(inner, 3)
        taken = self.dropped.astype(np.float64)
        for kind in range(3):  # in the order of `counts.walk`, with which it agrees to the bit
            taken += self.discounts[lengths, kind] * each[:, kind]
        left = np.divide(taken, totals, out=np.ones(inner), where=self.children > 0)
        return np.append(0, mass).astype(np.float32), left.astype(np.float32)

    @property
    def mass(self) -> Floats:
        """(M,), what a node's own count gives its character after its parent."""
        return self._shares[0]

    @property
    def left(self) -> Floats:
        """(I,), the share that a context leaves to the one that is a character shorter."""
        return self._shares[1]

    # -- predicting ------------------------------------------------------------------

    def beginning(self, streams: int) -> Nodes:
        """The state (N, K) of streams that know nothing: see `read`."""
        return np.zeros((streams, self.context), np.int32)

    def after(self, nodes: npt.NDArray[Any], ids: Ids) -> npt.NDArray[np.int64]:
        """The child of each node by a character; 0 where there is none.

        Args:
            nodes: of any shape; contexts of K characters have no children that are contexts.
            ids: characters, of the same shape.
        """
        keys = self.keys
        wanted = (nodes * np.int64(self.vocabulary_size) + ids).astype(keys.dtype)
        found = np.searchsorted(keys, wanted)
        found = np.minimum(found, len(keys) - 1)
        return np.where(keys[found] == wanted, found + 1, 0) if len(keys) else np.zeros_like(wanted)

    def read(self, ids: Ids, state: Nodes) -> Reading:
        """The probabilities of the characters after each of some.

        Args:
            ids: (N, T), from 0.
            state: (N, K), the nodes of the contexts of 1 to K characters before the first of
                them; 0 where the text has no such context, or so much is not known.
        """
        matched = self._matched(ids, state)
        p = self.predicted(matched[:, 1:].reshape(-1, self.context))
        lengths = np.count_nonzero(matched[:, 1:], -1)
        p = p.reshape(*ids.shape, self.vocabulary_size)
        return Reading(p, lengths, matched[:, -1].astype(np.int32))

    def _matched(self, ids: Ids, state: Nodes) -> npt.NDArray[np.int64]:
        """The states (N, T + 1, K) before and after each id."""
        matched = np.empty((len(ids), ids.shape[1] + 1, self.context), np.int64)
        matched[:, 0] = state
        shorter = np.zeros(matched.shape[:2], np.int64)
        for k in range(self.context):
            matched[:, 1:, k] = self.after(shorter[:, :-1], ids)
            if k:
                matched[:, 1:, k] *= shorter[:, :-1] > 0
            shorter = matched[:, :, k]
        return matched

    def after_each(self, ids: Ids, state: Nodes) -> Nodes:
        """The state after one character (N,) more, all lengths at once."""
        shorter = np.zeros_like(state)
        shorter[:, 1:] = state[:, :-1]
        found = self.after(shorter, ids[:, None])
        # below the root, 0 means that there is no such context to be longer than
        found[:, 1:] *= shorter[:, 1:] > 0
        return found.astype(np.int32)

    def predicted(self, nodes: npt.NDArray[Any]) -> Floats:
        """p (P, V) of the character after contexts (P, K), as states have them."""
        p = np.empty((len(nodes), self.vocabulary_size), np.float32)
        rows = max(1, _AT_ONCE // self.vocabulary_size)
        for first in range(0, len(nodes), rows):
            p[first : first + rows] = self._predicted(nodes[first : first + rows])
        return p

    def _predicted(self, nodes: npt.NDArray[Any]) -> Floats:
        known = self._short_length
        short = nodes[:, :known].max(1, initial=0)
        nodes = nodes[:, known:]
        if not nodes.size:
            return self._short[short]
        children, left = self._longer_contexts
        lengths = children[nodes].ravel()
        # what a context's own counts are multiplied with: all that the longer ones leave
        leave = np.multiply.accumulate(left[nodes][:, ::-1], 1)[:, ::-1]
        shares = np.ones_like(leave)
        shares[:, :-1] = leave[:, 1:]
        ends = lengths.cumsum(dtype=np.int64)
        begins = self.starts[nodes.ravel()] - (ends - lengths)
        found = np.repeat(begins, lengths)
        found += np.arange(len(found))
        rows = np.arange(len(nodes)) * self.vocabulary_size
        at = np.repeat(np.repeat(rows, nodes.shape[1]), lengths) + self.characters[found]
        mass = self.mass[found] * np.repeat(shares.ravel(), lengths)
        own_share = np.bincount(at, mass, len(nodes) * self.vocabulary_size)
        p = own_share.reshape(len(nodes), -1) + self._short[short] * leave[:, :1]
        return p.astype(np.float32)

    @cached_property
    def _longer_contexts(self) -> tuple[Ids, Floats]:
        """`children` and `left`, but that 0 is a context that is not known, and leaves all."""
        children, left = self.children.copy(), self.left.copy()
        children[0], left[0] = 0, 1
        return children, left

    @cached_property
    def _short_length(self) -> int:
        """The length of the contexts whose predictions are at hand, 2 at most: see `_short`."""
        fits = (np.array(self.levels[1:4]) * self.vocabulary_size <= _AT_HAND).sum()
        return min(max(int(fits) - 1, 0), self.context)

    @cached_property
    def _short(self) -> Floats:
        """(S, V), p after the first S nodes: the short contexts, after which most can come."""
        size = self.levels[1 + self._short_length]
        p = np.empty((size, self.vocabulary_size), np.float32)
        p[0] = self.unigram
        by_character = np.zeros(self.vocabulary_size, np.int64)
        by_character[self.characters[1 : self.levels[2]]] = np.arange(1, self.levels[2])
        for length in range(1, 1 + self._short_length):
            nodes = slice(self.levels[length], self.levels[length + 1])
            last = self.characters[nodes]
            p[nodes] = p[by_character[last] if length > 1 else 0] * self.left[nodes, None]
            children = slice(self.starts[nodes.start], self.starts[nodes.stop])
            parents = np.repeat(np.arange(nodes.start, nodes.stop), self.children[nodes])
            p[parents, self.characters[children]] += self.mass[children]
        return p

    @cached_property
    def unigram(self) -> Floats:
        """(V,), p after nothing."""
        p = np.full(self.vocabulary_size, 1 / self.vocabulary_size, np.float32)
        if self.children[0]:
            first = slice(1, 1 + int(self.children[0]))
            p *= self.left[0]
            p[self.characters[first]] += self.mass[first]
        return p


def discounts_of(length: int, context: int) -> tuple[float, float, float]:
    """What is taken from counts of 1, 2, and more after contexts of a length, of K at most."""
    if length == context:
        return DISCOUNTS_TOP
    return DISCOUNTS_BELOW_TOP if length == context - 1 and length else DISCOUNTS


# -- counting ------------------------------------------------------------------------


@dataclass
class _Level:
    """The different passages of k + 1 characters of a text, in the order of their characters.

    Attributes:
        parents: (M,), which of the passages of k characters each begins with; ascending.
        characters: (M,), the last one of each.
        occurrences: (M,).
        ways: (M,), how many different characters precede it; None for the longest.
    """

    parents: Nodes
    characters: Ids
    occurrences: Nodes
    ways: Nodes | None = None


def _levels(ids: Ids, vocabulary_size: int, context: int) -> Iterator[_Level]:
    """The passages of 1 to `context` + 1 characters; those that are longer than the text are none.

    A level has its `ways` when the next one is there. The text is sorted once; then each level
    is what begins otherwise than what stands before it.
    """
    n = len(ids)
    # the characters from 1 on; 0 is the text's end, which comes before all of them
    text = np.zeros(n + context + 1, np.min_scalar_type(vocabulary_size))
    text[:n] = ids
    text[:n] += 1
    order = _sorted_places(text, n, vocabulary_size + 1, context + 1)
    is_first = np.zeros(n, bool)
    is_first[:1] = True
    numbers = np.zeros(n, np.int32)  # of the passage of k characters that begins at each place
    shorter: _Level | None = None
    for k in range(context + 1):
        last = text[k:][order]
        is_first[1:] |= last[1:] != last[:-1]
        firsts = np.flatnonzero(is_first)
        occurrences = np.diff(firsts, append=n).astype(np.int32)
        is_whole = last[firsts] > 0
        firsts, occurrences = firsts[is_whole], occurrences[is_whole]
        places = order[firsts]
        if shorter is not None:
            # a passage is one way in which its end, shorter by its first character, is preceded;
            # the text's beginning is another
            ways = np.bincount(numbers[places + 1], minlength=len(shorter.parents))
            if n >= k:
                ways[numbers[0]] += 1
            shorter.ways = ways.astype(np.int32)
        shorter = _Level(numbers[places], last[firsts] - 1, occurrences)
        numbers[order] = np.cumsum(is_first & (last > 0), dtype=np.int32) - 1
        yield shorter


def _sorted_places(text: Ids, n: int, size: int, length: int) -> npt.NDArray[np.int64]:
    """The places 0 to n - 1 of a text in the order of the `length` characters from each on.

    As many characters as have room in one number are compared at once; where these are not
    enough, the ranks of such parts take their place.

    Args:
        text: (n + length,), of numbers below `size`.
    """
    done, parts = 1, text
    while True:
        together = min(-(-length // done), int(63 / math.log2(size)))
        keys = parts[:n].astype(np.int64)
        for part in range(1, together):
            keys *= size
            keys += parts[part * done :][:n]
        order = keys.argsort()
        done *= together
        if done >= length:
            return order
        keys = keys[order]
        is_other = np.ones(n, bool)
        is_other[1:] = keys[1:] != keys[:-1]
        parts = np.zeros(n + length, np.int32)  # 0 is again the text's end
        parts[order] = np.cumsum(is_other, dtype=np.int32)
        size = int(parts.max()) + 1
        del keys, order  # for the memory


def count(ids: Ids, vocabulary_size: int, context: int = MAX_CONTEXT) -> CountTable:
    """Count a text.

    Args:
        ids: (n,), from 0.
        context: K, 1 or more. Of a text of n > 1 characters it is n - 1 at most.
    """
    context = max(1, min(context, len(ids) - 1))
    return _table(list(_levels(ids, vocabulary_size, context)), vocabulary_size, context)


class Counted(NamedTuple):
    """A text counted with the context that predicts another one best.

    Attributes:
        loss: of the other text, in nats per character, as one stream.
        is_cut: a longer context might be better, but would have more than `MAX_NODES` nodes.
    """

    table: CountTable
    loss: float
    is_cut: bool


def best_context(
    ids: Ids,
    held_out: Ids,
    vocabulary_size: int,
    most: int = MAX_CONTEXT,
    goes_on: Callable[[], bool] = lambda: True,
) -> Counted | None:
    """Count a text with the longest context, of 1 to `most`, that predicts another text best.

    Of a long one its beginning says so; the loss is that of all of it.

    Args:
        ids, held_out: (n,) and (m,) with m >= 2, from 0.
        goes_on: asked several times a second; when it says no, there is no table.
    """
    most = max(1, min(most, len(ids) - 1))
    levels: list[_Level] = []
    is_cut = False
    for level in _levels(ids, vocabulary_size, most):
        if not goes_on():
            return None
        levels.append(level)
        if is_cut := len(levels) > 2 and _nodes(levels, len(levels) - 1) > MAX_NODES:
            break
    longest, tried = len(levels) - 1 - is_cut, held_out[:TRIED]
    found: Counted | None = None
    for context in range(1, longest + 1):
        if not goes_on():
            return None
        table = _table(levels, vocabulary_size, context)
        loss = sum(_nats(table, tried)) / (len(tried) - 1)
        if found is None or loss < found.loss:
            found = Counted(table, loss, is_cut and context == longest)
    assert found is not None
    if len(held_out) > len(tried):
        nats = 0.0
        for part in _nats(found.table, held_out):
            if not goes_on():
                return None
            nats += part
        found = found._replace(loss=nats / (len(held_out) - 1))
    return found


def _nodes(levels: list[_Level], context: int) -> int:
    """How many nodes the table of K = `context` has."""
    kept = int((levels[context].occurrences > 1).sum())
    return 1 + sum(len(level.parents) for level in levels[:context]) + kept


def _table(levels: list[_Level], vocabulary_size: int, context: int) -> CountTable:
    """The table of K = `context` among passages that are as long or longer."""
    characters, counts = [np.zeros(1, np.uint8)], [np.zeros(1, np.uint8)]
    children = []
    parents = 1  # nodes of the level above
    for k in range(context + 1):
        level = levels[k]
        of, last = level.parents, level.characters
        if k == context:
            kept = level.occurrences > 1
            once = np.bincount(of[~kept], minlength=parents)
            of, last, n = of[kept], last[kept], level.occurrences[kept]
        else:
            assert level.ways is not None
            n = level.ways
        characters.append(_smallest(last))
        counts.append(_smallest(n))
        children.append(_smallest(np.bincount(of, minlength=parents)))
        parents = len(level.parents)
    # what came once matters where something came more often
    dropped = np.concatenate([*map(np.zeros_like, children[:-1]), once * (children[-1] > 0)])
    return CountTable(
        vocabulary_size,
        context,
        characters=_smallest(np.concatenate(characters)),
        counts=_smallest(np.concatenate(counts)),
        children=_smallest(np.concatenate(children)),
        dropped=_smallest(dropped),
    )


def _nats(table: CountTable, ids: Ids) -> Iterator[float]:
    """What a text takes in all, its first character left out, as `CountTable.read` has it.

    In parts, of which the last may be smaller.
    """
    state = table.beginning(1)
    for first in range(0, len(ids) - 1, TRIED - 1):
        part = ids[first : first + TRIED]
        matched = table._matched(part[None], state)[0]
        state = matched[-2:-1]
        p = table.unigram[part[1:]].astype(np.float64)
        for k in range(table.context):
            at = matched[1:-1, k]
            is_longest = k + 1 == table.context
            child = table.after(at, part[1:]) if is_longest else matched[2:, k + 1]
            known = (at > 0) & (table.children[at] > 0)
            p = np.where(known, table.left[at] * p + table.mass[child], p)
        yield -float(np.log(p).sum())


def _smallest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same whole numbers in the smallest unsigned type that has room for them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
