"""The mixture of network and counts: a product of four experts.

    ln p = a ln p_network + b ln p_counts + g s_words + h s_pairs + c

c normalizes each distribution. In a product of experts (Hinton 2002), a character that network or
counts rule out is never drawn. On tiny-shakespeare it is better than a mean of probabilities.
s_words and s_pairs are the scores of a `WordTable` and a `PairTable`, 0 for most characters.

The weights a and b depend on the length of the longest known context, because the counts know more
after a longer context. They change linearly with the length, and differ inside words and between
words. g and h are one number each, or another one if the table knows only one continuation. These
twelve numbers minimize the loss of a held-out text (`charrnn.counts.fitting`).

In a long run of one character, `charrnn.counts.run_lengths` gives the probability that it
continues; the other characters follow the network, or the counts if the network has no weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.pairs import PairTable
from charrnn.counts.run_lengths import MAX_RUN, RunLengths, continue_runs
from charrnn.counts.table import CountTable
from charrnn.counts.tries import Ids, Nodes, Trie
from charrnn.counts.words import WordTable

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

# The last columns of a state: the node of the current word in the word table, that of the last word
# and what follows it in the pair table, and the length of the run of one character
WORD, PAIR, RUN = -3, -2, -1
_PROBABILITIES_AT_ONCE = 1 << 18


class Weights(NamedTuple):
    """The factors of the log-probabilities and of the scores.

    Attributes:
        network, counts: between words after an unknown context and after a known context of K
            characters, then inside words after these two. Without a word table, all places are
            between words.
        words, pairs: for the scores of several continuations, and of a single one.
    """

    network: tuple[float, float, float, float]
    counts: tuple[float, float, float, float]
    words: tuple[float, float] = (0.0, 0.0)
    pairs: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def from_vector(cls, vector: npt.NDArray[np.float64]) -> Weights:
        """Return the weights in an array (12,)."""
        return cls(*(tuple(part.tolist()) for part in np.split(vector, (4, 8, 10))))

    def to_vector(self) -> npt.NDArray[np.float64]:
        """Return the weights as an array (12,)."""
        return np.concatenate([*self])


COUNTS_ONLY = Weights((0.0,) * 4, (1.0,) * 4, (0.2, 0.2), (0.4, 0.4))


class Places(NamedTuple):
    """The scores of counts at P places of a text, before they are weighted."""

    scores: Floats  # (P, 3, V), of counts, words and pairs
    depths: Floats  # (P,), the length of the longest known context, divided by K
    is_inside: Flags  # (P,), whether the place is inside a word
    is_single: Flags  # (P, 2), whether words and pairs know only one continuation
    characters: Ids  # (P,), the last character
    run_odds: Floats  # (P,), that a long run of it continues; 0 outside of long runs
    run_may_end: Flags  # (P,), whether no known run is longer

    def mix(self, weights: Weights, network_logits: Floats | None) -> Floats:
        """Return the logits (P, V) of the mixture with these weights.

        The network's logits (P, V) may be None if it has no weight.
        """
        # (P, 4): the factors of the network, and of the scores of counts, words and pairs
        factors = (self.compute_features() @ weights.to_vector()).astype(np.float32)
        logits: Floats = (factors[:, None, 1:] @ self.scores)[:, 0]
        if network_logits is not None:
            logits += factors[:, :1] * network_logits
        if len(rows := np.flatnonzero(self.run_odds)):
            others: Any = network_logits if any(weights.network) else self.scores[:, 0]
            runs = self.characters[rows], self.run_odds[rows], self.run_may_end[rows]
            logits[rows] = continue_runs(others[rows].astype(np.float32), *runs)
        return logits

    def select(self, rows: Ids | slice) -> Places:
        """Return some of the places."""
        selected: Any = (values[rows] for values in self)
        return Places(*selected)

    def compute_features(self) -> npt.NDArray[np.float32]:
        """Return the share (P, 4, 12) of each weight in the factors of the four experts."""
        features = np.zeros((len(self.depths), 4, 12), np.float32)
        rows, place = np.arange(len(self.depths)), 2 * self.is_inside
        for expert in range(2):
            features[rows, expert, 4 * expert + place] = 1 - self.depths
            features[rows, expert, 4 * expert + place + 1] = self.depths
            features[rows, 2 + expert, 8 + 2 * expert + self.is_single[:, expert]] = 1
        return features


@dataclass(frozen=True)
class Counts:
    """The counts of a model's training text, and the weights of the mixture.

    The state of a stream is K + 3 numbers: the nodes of the contexts of 1 to K characters, 0 if
    unknown or not in the text; `WORD`, `PAIR` and `RUN`.
    """

    table: CountTable
    runs: RunLengths | None  # None if the mixture has no lengths of runs
    words: WordTable | None  # None if the mixture has no word table
    pairs: PairTable | None  # None if the mixture has no pairs of words
    weights: Weights

    @property
    def only(self) -> Counts:
        """The same counts without the network."""
        return replace(self, weights=COUNTS_ONLY)

    @property
    def needs_network(self) -> bool:
        """Whether the network has a weight above 0."""
        return any(self.weights.network)

    @cached_property
    def by_place(self) -> npt.NDArray[np.float32]:
        """The weights (2, K + 1, 2) of network and counts.

        They are indexed by whether the place is inside a word, and by the length of the longest
        known context.
        """
        depths = np.linspace(0, 1, self.table.context + 1)[:, None]
        weights = np.array([self.weights.network, self.weights.counts], np.float32).T
        rows = [(1 - depths) * weights[k] + depths * weights[k + 1] for k in (0, 2)]
        return np.array(rows, np.float32)

    @cached_property
    def tries(self) -> list[tuple[Trie, int]]:
        """The tries of words and pairs, and the columns of a state with their nodes."""
        tables = (self.words, WORD), (self.pairs, PAIR)
        return [(table.trie, column) for table, column in tables if table is not None]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of all tables for a file."""
        parts = (self.table, self.runs, self.words, self.pairs)
        return {n: a for part in parts if part is not None for n, a in part.to_arrays().items()}

    def zero_state(self, streams: int) -> Nodes:
        """Return the state (N, K + 3) of streams before their first character."""
        return np.zeros((streams, self.table.context + 3), np.int32)

    def extend(self, id_: int, state: Sequence[int]) -> list[int]:
        """Return the state (K + 3,) of one stream after one more character."""
        *nodes, word, pair, run = state
        after = self.table.extend(id_, nodes)
        # The node of a context of one character tells the character.
        run = min(run + 1, MAX_RUN) if after[0] == nodes[0] != 0 else 1
        if self.pairs is not None:
            pair = self.pairs.extend(id_, word, pair)
        if self.words is not None:
            word = self.words.extend(id_, word)
        return [*after, word, pair, run]

    def find_states(self, ids: Ids, state: Nodes) -> Nodes:
        """Return the states (N, T, K + 3) after each of ids (N, T), from the state before them."""
        states = np.empty((*ids.shape, state.shape[-1]), np.int32)
        for n, (row, after) in enumerate(zip(ids.tolist(), state.tolist(), strict=True)):
            for t, id_ in enumerate(row):
                states[n, t] = after = self.extend(id_, after)
        return states

    def observe(self, states: Nodes, dtype: npt.DTypeLike = np.float32) -> Places:
        """Return the scores at the P places of states (..., K + 3), as numbers of this type."""
        states = states.reshape(-1, states.shape[-1])
        nodes, P, V = states[:, :WORD], len(states), self.table.vocabulary_size
        scores = np.empty((P, 3, V), dtype)
        rows = max(1, _PROBABILITIES_AT_ONCE // V)
        for first in range(0, P, rows):
            part = slice(first, first + rows)
            scores[part] = self._score(states[part])
        is_single = np.zeros((P, 2), bool)
        for place, (trie, column) in enumerate(self.tries):
            is_single[:, place] = trie.is_single[states[:, column]] & (states[:, column] > 0)
        characters = self.table.characters[nodes[:, 0]]
        odds, may_end = np.zeros(P, np.float32), np.zeros(P, bool)
        if self.runs is not None:
            odds, may_end = self.runs.find_odds(characters, states[:, RUN])
        depths = np.count_nonzero(nodes, 1) / np.float32(self.table.context)
        is_inside = states[:, WORD] != 0
        return Places(scores, depths, is_inside, is_single, characters, odds, may_end)

    def _score(self, states: Nodes) -> Floats:
        """Return the scores (P, 3, V) of counts, words and pairs.

        Words back off to the counts, and pairs to both.
        """
        p = self.table.predict(states[:, :WORD])
        scores = np.zeros((len(p), 3, p.shape[1]), np.float32)
        np.log(p, out=scores[:, 0])
        for place, (trie, column) in enumerate(self.tries, 1):
            rows, characters, of_symbols = trie.score(states[:, column], p)
            scores[rows, place, characters] = of_symbols
            p[rows, characters] *= np.exp(of_symbols)
            p /= p.sum(-1, keepdims=True)
        return scores

    def mix(self, states: Nodes, network_logits: Floats | None) -> Floats:
        """Return the logits (..., V) of the mixture after states (..., K + 3).

        The network's logits (..., V) may be None if it has no weight.
        """
        size = self.table.vocabulary_size
        logits = None if network_logits is None else network_logits.reshape(-1, size)
        return self.observe(states).mix(self.weights, logits).reshape(*states.shape[:-1], size)
