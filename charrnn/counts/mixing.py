"""The mixture of network and counts: ln p = a ln p_network + b ln p_counts + g s_words + c.

c normalizes each distribution. The mixture is a product of experts (Hinton 2002): a character that
network or counts rule out is never drawn. On tiny-shakespeare it is better than a mean of
probabilities. s_words are the scores of a `WordTable`, which exist only for some characters.

The weights a and b depend on the length of the longest known context, because the counts know more
after a longer context. They change linearly with the length, and differ inside words and between
words. g is one number, or another one if the table knows only one continuation of the word. These
ten numbers minimize the loss of a held-out text (`charrnn.counts.fitting`).

In a long run of one character, `charrnn.counts.run_lengths` gives the probability that it
continues.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.known_words import KnownWords
from charrnn.counts.run_lengths import MAX_RUN, RunLengths, RunOdds
from charrnn.counts.table import CountTable, Ids, Nodes, list_ranges
from charrnn.counts.words import WordScores, WordTable

Floats = npt.NDArray[np.floating[Any]]


class Weights(NamedTuple):
    """The factors of the log-probabilities and of the words' scores.

    Attributes:
        network, counts: between words after an unknown context and after a known context of K
            characters, then inside words after these two. Without a word table, all places are
            between words.
        words: for the scores of several continuations, and of a single one.
    """

    network: tuple[float, float, float, float]
    counts: tuple[float, float, float, float]
    words: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def from_vector(cls, vector: npt.NDArray[np.float64]) -> Weights:
        """Return the weights in an array (10,)."""
        numbers = vector.tolist()
        return cls(tuple(numbers[:4]), tuple(numbers[4:8]), tuple(numbers[8:]))

    def to_vector(self) -> npt.NDArray[np.float64]:
        """Return the weights as an array (10,)."""
        return np.concatenate([*self])


COUNTS_ONLY = Weights((0.0,) * 4, (1.0,) * 4, (0.2, 0.2))


class CountState(NamedTuple):
    """The state of counts after the text so far: of N streams (N,), or at their places (N, T)."""

    nodes: Nodes  # (..., K), of the contexts of 1 to K characters; 0 if unknown or not in the text
    word: Nodes  # (...,), the node of the current word in the word table
    run: Nodes  # (...,), the length of the run of one character


class Places(NamedTuple):
    """The scores of counts at P places of a text, before they are weighted."""

    log_probs: Floats  # (P, V), by the Kneser-Ney counts
    # (P, 4), the share of each of the four weights of network and counts (`Weights`)
    features: npt.NDArray[np.float64]
    words: WordScores | None  # the scores of a word table; None without one
    runs: RunOdds  # the places in a run

    def mix(self, weights: Weights, network_logits: Floats | None) -> Floats:
        """Return the logits (P, V) of the mixture with these weights.

        The network's logits (P, V) may be None if it has no weight.
        """
        of_network, of_counts = (
            (self.features @ numbers).astype(np.float32)[:, None]
            for numbers in (weights.network, weights.counts)
        )
        needs_network, in_run = any(weights.network), self.runs.rows
        of_network[in_run], of_counts[in_run] = needs_network, not needs_network
        logits = of_counts * self.log_probs
        if self.words is not None and any(weights.words):
            rows, characters, values, is_single = self.words
            factors = np.array(weights.words, np.float32)[is_single.astype(np.int64)]
            logits[rows, characters] += factors * values
        if network_logits is not None:
            logits = logits + of_network * network_logits
        if len(in_run):
            self.runs.apply(logits)
        return logits

    def select(self, rows: Ids) -> Places:
        """Return some of the places, in ascending order."""

        def select_sparse(entries: Any) -> Any:
            firsts, ends = (np.searchsorted(entries.rows, rows, side) for side in ("left", "right"))
            selected = list_ranges(firsts, ends - firsts)
            selection = entries._make(values[selected] for values in entries)
            return selection._replace(rows=np.repeat(np.arange(len(rows)), ends - firsts))

        words = None if self.words is None else select_sparse(self.words)
        return Places(self.log_probs[rows], self.features[rows], words, select_sparse(self.runs))


def compute_features(depths: Floats, is_inside: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the features (P, 4) of `Places`.

    Args:
        depths: (P,), the length of the longest known context, divided by K.
        is_inside: (P,), whether the place is inside a word.
    """
    shares = np.stack([1 - depths, depths], 1)
    return np.concatenate([shares * (is_inside == where)[:, None] for where in (False, True)], 1)


@dataclass(frozen=True)
class Counts:
    """The counts of a model's training text, and the weights of the mixture."""

    table: CountTable
    runs: RunLengths
    words: WordTable | None  # None if the mixture has no word table
    weights: Weights
    # the words of the text and its background, for writing only; None without a background
    background_words: KnownWords | None = None

    @cached_property
    def known_words(self) -> KnownWords | None:
        """The words that are known in writing; None if there are neither these nor a word table."""
        if self.background_words is None and self.words is not None:
            return KnownWords.from_table(self.words)
        return self.background_words

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
        depths = np.linspace(0, 1, self.table.context + 1)
        weights = np.array([self.weights.network, self.weights.counts]).T
        rows = [compute_features(depths, np.full(len(depths), w)) @ weights for w in (False, True)]
        return np.array(rows, np.float32)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of all tables for a file."""
        parts = (self.table, self.runs, self.words, self.background_words)
        return {n: a for part in parts if part is not None for n, a in part.to_arrays().items()}

    def zero_state(self, streams: int) -> CountState:
        """Return the state of N streams before their first character."""
        nodes = np.zeros((streams, self.table.context), np.int32)
        return CountState(nodes, *np.zeros((2, streams), np.int32))

    def find_states(self, ids: Ids, state: CountState) -> CountState:
        """Return the states (N, T) after each of ids (N, T), from the state (N,) before them."""
        nodes, word = self.table.find_contexts(ids, state.nodes), np.zeros(ids.shape, np.int32)
        if self.words is not None:
            word = self.words.find_nodes(ids, state.word)
        # The node of a context of one character tells the character.
        characters = np.concatenate([state.nodes[:, :1], nodes[..., 0]], 1)
        is_new = (characters[:, 1:] != characters[:, :-1]) | (characters[:, 1:] == 0)
        columns = np.arange(ids.shape[1])
        firsts = np.maximum.accumulate(np.where(is_new, columns, -1), 1)
        earlier = np.where(firsts < 0, state.run[:, None], 0)
        lengths = columns - np.maximum(firsts, 0) + 1 + earlier
        return CountState(nodes, word, np.minimum(lengths, MAX_RUN).astype(np.int32))

    def observe(self, states: CountState) -> Places:
        """Return the scores at the P places of states (...,)."""
        nodes, word = states.nodes.reshape(-1, self.table.context), states.word.flatten()
        p = self.table.predict(nodes)
        runs = self.runs.find_odds(self.table.characters[nodes[:, 0]], states.run.ravel())
        word[runs.rows] = 0  # no words in a run
        words = None if self.words is None else self.words.score(word, p)
        features = compute_features(np.count_nonzero(nodes, -1) / self.table.context, word != 0)
        return Places(np.log(p, out=p), features, words, runs)

    def mix(self, states: CountState, network_logits: Floats | None) -> Floats:
        """Return the logits (..., V) of the mixture after states (...,).

        The network's logits (..., V) may be None if it has no weight.
        """
        size = self.table.vocabulary_size
        logits = None if network_logits is None else network_logits.reshape(-1, size)
        mixed = self.observe(states).mix(self.weights, logits)
        return mixed.reshape(*states.word.shape, size)
