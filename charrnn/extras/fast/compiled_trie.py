"""Known words in the compiled loop: what it costs a text to leave them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from charrnn.counts.known_words import KnownWords
from charrnn.counts.words import UNKNOWN
from charrnn.extras.fast.compiled_counts import find_sorted
from charrnn.extras.fast.compiling import F, inline
from charrnn.generation.new_words import NEVER, STRANGE

_NEVER = F(NEVER)


class CompiledWords(NamedTuple):
    """The tables of `KnownWords`, in the same types for all; without words, no node is limited."""

    letters: Any
    starts: Any
    last_letters: Any
    is_word: Any
    num_complete: int
    width: int  # W, the number of different letters, and one for all other characters


def compile_words(words: KnownWords | None, vocabulary_size: int) -> CompiledWords:
    """Return the tables of known words; without any, all characters are no letters."""
    if words is None:
        words = KnownWords(
            letters=np.zeros(vocabulary_size, np.int32),
            last_letters=np.zeros(0, np.int32),
            num_children=np.zeros(1, np.int32),  # only node 0, between words
            is_word=np.ones(1, bool),
            num_complete=0,
        )
    return CompiledWords(
        words.letters, words.starts, words.last_letters, words.is_word, words.num_complete,
        words.width,
    )  # fmt: skip


@inline
def extend_word(words, node, id_):  # type: ignore[no-untyped-def]
    """Return the node after one more character, like `KnownWords.extend`."""
    letter = words.letters[id_]
    if letter == 0:
        return 0
    if node < 0:
        return UNKNOWN
    end = words.starts[node + 1] - 1
    place = find_sorted(words.last_letters, words.starts[node] - 1, end, letter)
    return place + 1 if place < end and words.last_letters[place] == letter else UNKNOWN


@inline
def subtract_costs(words, node, cost, costs, logits):  # type: ignore[no-untyped-def]
    """Subtract what it costs to leave the known words from logits (V,), like `WordCosts`.

    Args:
        costs: (W,), working memory for the cost of each letter.
    """
    if node == STRANGE:
        costs[:], costs[0] = _NEVER, F(0)
    elif 0 <= node < words.num_complete and cost > F(0):
        costs[:], costs[0] = cost, F(0) if words.is_word[node] else cost
        for child in range(words.starts[node] - 1, words.starts[node + 1] - 1):
            costs[words.last_letters[child]] = F(0)
    else:
        return
    for v in range(len(logits)):
        logits[v] -= costs[words.letters[v]]
