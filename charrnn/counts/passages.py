"""Count the passages of 1, 2, ... characters of a text, and build a table of the counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import CountTable
from charrnn.counts.tries import Ids, Nodes

MAX_CONTEXT = 8
# The limit of a table's nodes, each of which takes about 3 bytes in a model file. A text of a
# megabyte reaches it with contexts of 6 characters, a repetitive text with contexts of 7.
MAX_NODES = 1_100_000
TRIED = 1 << 14  # the number of held-out characters that choose the length of contexts


@dataclass
class Level:
    """The M different passages of k + 1 characters of a text, sorted by their characters."""

    parents: Nodes  # the index (M,) of each passage's first k characters in the previous level
    characters: Ids  # the last character (M,) of each passage
    occurrences: Nodes  # the number (M,) of times that each passage occurs
    # the number (M,) of different preceding characters; None for the last level
    num_preceding: npt.NDArray[Any] | None = None


def count_levels(ids: Ids, vocabulary_size: int, context: int) -> Iterator[Level]:
    """Yield the passages of a text (n,) of 1 to `context` + 1 characters, and at most n.

    The `num_preceding` of a level is set when the next level is yielded. All positions of the text
    are sorted once. A passage is new if it differs from the previous position's in this order, and
    then all longer ones that start there are new too.
    """
    n = len(ids)
    context = max(1, min(context, n - 1))
    # Characters count from 1 here. 0 is the end of the text, which is smaller than all of them.
    text = np.zeros(n + context + 1, np.min_scalar_type(vocabulary_size))
    text[:n] = ids
    text[:n] += 1
    order = np.lexsort([text[k : k + n] for k in reversed(range(context + 1))])
    is_first = np.zeros(n, bool)
    is_first[:1] = True
    numbers = np.zeros(n, np.int32)  # the number of the k-character passage at each position
    shorter: Level | None = None
    for k in range(context + 1):
        last = text[k:][order]
        is_first[1:] |= last[1:] != last[:-1]
        firsts = np.flatnonzero(is_first)
        occurrences = np.diff(firsts, append=n).astype(np.int32)
        is_complete = last[firsts] > 0  # does not extend past the end of the text
        firsts, occurrences = firsts[is_complete], occurrences[is_complete]
        positions = order[firsts]
        if shorter is not None:
            # A passage's first character precedes its rest. The text's start counts as one more.
            rest = numbers[positions + 1]
            shorter.num_preceding = np.bincount(rest, minlength=len(shorter.parents))
            if n >= k:
                shorter.num_preceding[numbers[0]] += 1
        shorter = Level(numbers[positions], last[firsts] - 1, occurrences)
        numbers[order] = np.cumsum(is_first & (last > 0), dtype=np.int32) - 1
        yield shorter


def count_tables(
    ids: Ids, vocabulary_size: int, max_context: int = MAX_CONTEXT
) -> Iterator[CountTable]:
    """Yield the tables of a text with contexts of up to 1, 2, ... `max_context` characters.

    Tables of contexts of 2 and more have at most `MAX_NODES` nodes.
    """
    levels, num_nodes = list[Level](), 1  # the root, and the passages of all levels so far
    for level in count_levels(ids, vocabulary_size, max_context):
        num_repeated = int((level.occurrences > 1).sum())  # the nodes of a last level
        if len(levels) > 1 and num_nodes + num_repeated > MAX_NODES:
            break
        levels.append(level)
        num_nodes += len(level.parents)
    for k in range(1, len(levels)):
        yield build_table(levels[: k + 1], vocabulary_size)


def build_table(levels: list[Level], vocabulary_size: int) -> CountTable:
    """Build the table of the passages of 1 to K + 1 characters, where K is the longest context."""
    root: npt.NDArray[Any] = np.zeros(1, np.int32)
    characters, counts, children, dropped = [root], [root], [], []
    num_parents = 1
    for level in levels:
        parents, last, level_counts = level.parents, level.characters, level.num_preceding
        num_singles: npt.NDArray[Any] = np.zeros(num_parents, np.int32)
        if level is levels[-1]:
            is_repeated = level.occurrences > 1
            num_singles = np.bincount(parents[~is_repeated], minlength=num_parents)
            parents, last = parents[is_repeated], last[is_repeated]
            level_counts = level.occurrences[is_repeated]
        assert level_counts is not None
        num_children = np.bincount(parents, minlength=num_parents)
        characters.append(last)
        counts.append(level_counts)
        children.append(num_children)
        dropped.append(num_singles * (num_children > 0))  # nodes without children need no count
        num_parents = len(level.parents)
    columns = (characters, counts, children, dropped)
    arrays = (np.concatenate(column).astype(np.int32) for column in columns)
    return CountTable(vocabulary_size, len(levels) - 1, *arrays)
