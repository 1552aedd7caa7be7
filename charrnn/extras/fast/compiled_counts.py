"""Counts in the compiled loop."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from charrnn.counts.mixing import Counts
from charrnn.counts.run_lengths import MARGIN, MAX_RUN, ODDS_BEYOND
from charrnn.counts.words import UNKNOWN, WordTable
from charrnn.extras.fast.compiling import F, compile_apart, inline
from charrnn.extras.fast.rounded_math import exp, log


class CompiledCounts(NamedTuple):
    """The tables of counts, in the same types for all counts."""

    # of the `CountTable`
    characters: Any
    starts: Any
    mass: Any
    backoff: Any
    unigram: Any
    # of the `Counts`
    by_place: Any
    needs_network: bool
    # of the `RunLengths`
    least_run: int
    run_characters: Any
    run_lengths: Any
    run_odds: Any
    run_odds_below: Any
    # of the `WordTable`; without one, all letters are 0
    letters: Any
    word_starts: Any
    word_characters: Any
    word_ratios: Any
    word_children: Any  # (M + 1,), the number of nodes before the children of each node
    child_letters: Any  # (M - 1,), the last letter of each node but the first
    word_weights: Any  # (2,)


def compile_counts(counts: Counts | None) -> CompiledCounts:
    """Return the tables of counts; without counts, empty ones of the same types."""
    ids, shares = np.zeros(0, np.int32), np.zeros(0, np.float32)
    if counts is None:
        by_place = np.zeros((2, 1, 2), np.float32)
        return CompiledCounts(
            ids, ids, shares, shares, shares, by_place, False, 0, ids, ids, shares, shares,
            ids, ids, ids, shares, ids, ids, shares,
        )  # fmt: skip
    table, runs, words = counts.table, counts.runs, counts.words
    if words is None:
        letters = np.zeros(table.vocabulary_size, np.int32)
        words = WordTable(letters, np.zeros(1, np.int32), ids, ids)
    children = np.searchsorted(words.keys, np.arange(len(words.sizes) + 1) * words.width)
    int32 = partial(np.array, dtype=np.int32)
    return CompiledCounts(
        int32(table.characters), int32(table.starts), table.mass, table.backoff, table.unigram,
        counts.by_place, counts.needs_network,
        runs.least, int32(runs.characters), int32(runs.lengths), *runs.odds,
        int32(words.letters), int32(words.starts), int32(words.characters), words.ratios,
        int32(children), int32(words.keys % words.width),
        np.array(counts.weights.words, np.float32),
    )  # fmt: skip


_ONE = F(1)


@inline
def find_sorted(values, first, end, value):  # type: ignore[no-untyped-def]
    """Return the first place from `first` to `end` whose number is not below a value."""
    while first < end:
        middle = (first + end) // 2
        if values[middle] < value:
            first = middle + 1
        else:
            end = middle
    return first


@inline
def extend_state(counts, state, b, id_):  # type: ignore[no-untyped-def]
    """Update the `CountState` of stream b with one more character."""
    all_nodes, words, runs = state
    nodes, characters, starts = all_nodes[b], counts.characters, counts.starts
    last, shorter = nodes[0], 0
    for k in range(len(nodes)):
        end = starts[shorter + 1]
        child = find_sorted(characters, starts[shorter], end, id_)
        shorter = nodes[k]
        nodes[k] = child if child < end and characters[child] == id_ else 0
        if nodes[k] == 0 or shorter == 0:
            nodes[k + 1 :] = 0
            break
    is_repeated = nodes[0] == last and last > 0
    runs[b] = min(runs[b] + 1, MAX_RUN) if is_repeated else 1
    letter, word = counts.letters[id_], words[b]
    if letter == 0:
        words[b] = 0
    elif word != UNKNOWN:
        first, end = counts.word_children[word], counts.word_children[word + 1]
        place = find_sorted(counts.child_letters, first, end, letter)
        is_known = place < end and counts.child_letters[place] == letter
        words[b] = place + 1 if is_known else UNKNOWN


@inline
def _predict(counts, nodes, p):  # type: ignore[no-untyped-def]
    """Fill p (V,) with the counts' probabilities after the contexts (K,)."""
    p[:] = counts.unigram
    for node in nodes:
        if node == 0:
            break
        factor = counts.backoff[node]
        for v in range(len(p)):
            p[v] *= factor
        for child in range(counts.starts[node], counts.starts[node + 1]):
            p[counts.characters[child]] += counts.mass[child]


@inline
def mix(counts, state, b, p, logits):  # type: ignore[no-untyped-def]
    """Mix the counts into a network's logits (V,), in place, without normalization.

    Args:
        state: the `CountState`, of which stream b is mixed.
        p: (V,), working memory.
    """
    all_nodes, words, runs = state
    nodes, word = all_nodes[b], words[b]
    of_network, of_counts = counts.by_place[1 if word else 0, np.count_nonzero(nodes)]
    odds, may_end = _find_odds(counts, counts.characters[nodes[0]], runs[b])
    if odds > F(0):
        of_network, of_counts = (F(1), F(0)) if counts.needs_network else (F(0), F(1))
    _predict(counts, nodes, p)
    for v in range(len(p)):
        logit = of_counts * log(p[v])
        if of_network != F(0):  # otherwise the network's logits may not be finite
            logit += of_network * logits[v]
        logits[v] = logit
    if odds > F(0):
        _continue_run(logits, counts.characters[nodes[0]], odds, may_end)
    elif word > 0:
        first, end = counts.word_starts[word], counts.word_starts[word + 1]
        weight = counts.word_weights[1 if end - first == 1 else 0]
        for entry in range(first, end):
            v = counts.word_characters[entry]
            logits[v] += weight * log(_ONE + counts.word_ratios[entry] / p[v])


@inline
def _find_odds(counts, id_, length):  # type: ignore[no-untyped-def]
    """Return the odds that a run continues, and whether no known run is longer.

    These are the results of `RunLengths.find_odds`; the odds are 0 outside of runs.
    """
    if length < counts.least_run:
        return F(0), False
    first = find_sorted(counts.run_characters, 0, len(counts.run_characters), id_)
    end = find_sorted(counts.run_characters, first, len(counts.run_characters), id_ + 1)
    if first == end:
        return F(0), False
    entry = find_sorted(counts.run_lengths, first, end, length)
    if entry == end:
        return ODDS_BEYOND, True
    if counts.run_lengths[entry] == length:
        return counts.run_odds[entry], entry == end - 1
    return counts.run_odds_below[entry], False


@compile_apart
def _continue_run(logits, id_, odds, may_end):  # type: ignore[no-untyped-def]
    """Set the logit with which the run of a character has these odds, like `RunOdds.apply`."""
    logits[id_] = -np.inf
    highest, total = logits.max(), 0.0
    for v in range(len(logits)):
        if v != id_:
            total += exp(logits[v] - highest)
    logit = log(F(total)) + highest + log(odds)
    logits[id_] = min(logit, highest - MARGIN) if may_end else logit
