"""Counting a text: its passages of 1, 2, ... characters, and the table that is made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import CountTable, Ids, Nodes

MAX_CONTEXT = 8
# A longer context is not taken where its table would have more nodes; a file has some 3 bytes for
# each. Of a megabyte these are contexts of 6 characters, or 7 of a text that repeats itself more.
MAX_NODES = 1_100_000
# So many characters of a held-out text say how long contexts are; more are scored in such parts
TRIED = 1 << 17


@dataclass
class _Level:
    """The different passages of k + 1 characters of a text, in the order of their characters.

    Attributes:
        parents: (M,), which of the passages of k characters each begins with; ascending.
        characters: (M,), the last one of each.
        occurrences: (M,).
        num_preceding: (M,), how many different characters precede it; None for the longest.
    """

    parents: Nodes
    characters: Ids
    occurrences: Nodes
    num_preceding: npt.NDArray[Any] | None = None


def _levels(ids: Ids, vocabulary_size: int, context: int) -> Iterator[_Level]:
    """The passages of 1 to `context` + 1 characters; those that are longer than the text are none.

    A level has its `num_preceding` when the next one is there. The text is sorted once; then each
    level is what begins otherwise than what stands before it.
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
            shorter.num_preceding = np.bincount(numbers[places + 1], minlength=len(shorter.parents))
            if n >= k:
                shorter.num_preceding[numbers[0]] += 1
        shorter = _Level(numbers[places], last[firsts] - 1, occurrences)
        numbers[order] = np.cumsum(is_first & (last > 0), dtype=np.int32) - 1
        yield shorter


def _sorted_places(text: Ids, n: int, size: int, length: int) -> npt.NDArray[np.int64]:
    """The places 0 to n - 1 of a text in the order of the `length` characters from each on.

    As many characters as have room in one number are compared at once.

    Args:
        text: (n + length,), of numbers below `size`.
    """
    keys, together = [], int(63 / math.log2(size))
    for first in range(0, length, together):
        key = np.zeros(n, np.int64)
        for k in range(first, min(first + together, length)):
            key *= size
            key += text[k : k + n]
        keys.append(key)
    return keys[0].argsort() if len(keys) == 1 else np.lexsort(keys[::-1])


def count_passages(ids: Ids, vocabulary_size: int, context: int = MAX_CONTEXT) -> CountTable:
    """Count a text.

    Args:
        ids: (n,), from 0.
        context: K, 1 or more. Of a text of n > 1 characters it is n - 1 at most.
    """
    context = max(1, min(context, len(ids) - 1))
    return _table(list(_levels(ids, vocabulary_size, context)), vocabulary_size, context)


def count_with_best_context(
    ids: Ids, held_out: Ids, vocabulary_size: int, most: int = MAX_CONTEXT
) -> tuple[CountTable, float]:
    """Count a text with the longest context, of 1 to `most`, that predicts another text best.

    Of a long one its beginning says so. A longer context than 1 is not tried where its table would
    have more than `MAX_NODES` nodes.

    Args:
        ids, held_out: (n,) and (m,) with m >= 2, from 0.

    Returns:
        The table, and the loss of all of the other text, in nats per character, as one stream.
    """
    levels: list[_Level] = []
    for level in _levels(ids, vocabulary_size, max(1, min(most, len(ids) - 1))):
        levels.append(level)
        if len(levels) > 2 and _nodes(levels) > MAX_NODES:
            levels.pop()
            break
    tables = (_table(levels, vocabulary_size, context) for context in range(1, len(levels)))
    tried = [(_loss(table, held_out[: TRIED + 1]), table) for table in tables]
    loss, best = min(tried, key=lambda pair: pair[0])
    return best, loss if len(held_out) <= TRIED + 1 else _loss(best, held_out)


def _loss(table: CountTable, ids: Ids) -> float:
    """Nats per character of a text (n,), n >= 2, as one stream."""
    total, state = 0.0, table.zero_state(1)
    for first in range(0, len(ids) - 1, TRIED):
        nats, state = table.nats(ids[first : first + TRIED + 1], state)
        total += nats
    return total / (len(ids) - 1)


def _nodes(levels: list[_Level]) -> int:
    """How many nodes the table has whose longest passages are those of the last level."""
    kept = int((levels[-1].occurrences > 1).sum())
    return 1 + sum(len(level.parents) for level in levels[:-1]) + kept


def _table(levels: list[_Level], vocabulary_size: int, context: int) -> CountTable:
    """The table of K = `context` among passages that are as long or longer."""
    root: npt.NDArray[Any] = np.zeros(1, np.int32)
    characters, counts, children, dropped = [root], [root], [], []
    parents = 1  # nodes of the level above
    for k, level in enumerate(levels[: context + 1]):
        of, last, n = level.parents, level.characters, level.num_preceding
        once: npt.NDArray[Any] = np.zeros(parents, np.int32)
        if k == context:
            kept = level.occurrences > 1
            once = np.bincount(of[~kept], minlength=parents)
            of, last, n = of[kept], last[kept], level.occurrences[kept]
        assert n is not None
        number = np.bincount(of, minlength=parents)
        characters.append(last)
        counts.append(n)
        children.append(number)
        dropped.append(once * (number > 0))  # what came once matters where something came more
        parents = len(level.parents)
    arrays = (
        np.concatenate(each).astype(np.int32) for each in (characters, counts, children, dropped)
    )
    return CountTable(vocabulary_size, context, *arrays)
