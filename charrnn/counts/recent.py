"""Counts for a stream that is written character by character."""

from __future__ import annotations

from bisect import bisect_left
from math import log1p
from typing import Any

import numpy as np

from charrnn.counts.mixing import Counts, CountState, Floats
from charrnn.counts.run_lengths import MAX_RUN
from charrnn.counts.table import Ids
from charrnn.counts.words import UNKNOWN

_MAX_CACHED = 1 << 21  # probabilities
_MAX_WORDS = 1 << 15  # nodes of the word table
_FEW_CHILDREN = 32  # up to this number, a loop in Python is faster than NumPy


class RecentContexts:
    """Extends and mixes like `Counts`, but faster for a few streams.

    For the few numbers of a context, NumPy's calls would be slower than Python. So this class walks
    the tries in Python, and caches the predictions of recent contexts: a new prediction starts from
    the longest cached context. It is safe to share between threads, because cached arrays and lists
    never change.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts, self._table, self._words = counts, counts.table, counts.words
        # Python reads single numbers from a memoryview faster than from an array.
        self._characters, self._starts = self._table.characters.data, self._table.starts.data
        self._mass, self._by_place = self._table.mass.data, counts.by_place.tolist()
        self._least_run, self._with_runs = counts.runs.least, {*counts.runs.characters.tolist()}
        self._predictions: dict[int, Floats] = {}  # (V,) after the context of each node
        self._entries: dict[int, list[tuple[int, float]]] = {}  # of the word table's nodes
        if self._words is not None:
            self._letters, self._keys = self._words.letters.data, self._words.keys.data
            self._width = self._words.width

    def extend(self, ids: Ids, state: CountState) -> CountState:
        """Return the state (N,) after one more character (N,) per stream."""
        lists = (numbers.tolist() for numbers in (ids, *state))
        after = zip(*map(self._extend, *lists), strict=True)
        return CountState(*(np.array(numbers, np.int32) for numbers in after))

    def mix(self, states: CountState, network_logits: Floats | None) -> Floats:
        """Return the logits (N, V) of the mixture.

        `network_logits` is None if the counts do not need the network.
        """
        logits = [None] * len(states.word) if network_logits is None else network_logits
        lists = (numbers.tolist() for numbers in states)
        return np.stack(list(map(self._mix, *lists, logits)))

    def _extend(
        self, id_: int, nodes: list[int], word: int, run: int
    ) -> tuple[list[int], int, int]:
        """Return the `CountState` of one stream after one more character, as numbers."""
        characters, starts = self._characters, self._starts
        after = [0] * len(nodes)
        # nodes[k] is the node of the last k + 1 characters. The new context of k + 1 characters is
        # the old one of k characters and id_, so it is a child of the old one.
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
        is_repeated = after[0] == nodes[0] != 0
        run = min(run + 1, MAX_RUN) if is_repeated else 1
        return after, self._extend_word(id_, word), run

    def _extend_word(self, id_: int, word: int) -> int:
        """Return the node of the current word after one more character."""
        letter = 0 if self._words is None else self._letters[id_]
        if not letter or word == UNKNOWN:
            return UNKNOWN if letter else 0
        key = word * self._width + letter
        place = bisect_left(self._keys, key)
        return place + 1 if place < len(self._keys) and self._keys[place] == key else UNKNOWN

    def _mix(self, nodes: list[int], word: int, run: int, network_logits: Floats | None) -> Floats:
        """Return the logits (V,) of the mixture for one stream."""
        length = nodes.index(0) if nodes[-1] == 0 else len(nodes)
        p = self._interpolate_contexts(nodes[:length])
        of_network, of_counts = self._by_place[word != 0][length]
        runs = None
        if run >= self._least_run and (id_ := self._characters[nodes[0]]) in self._with_runs:
            runs = self._counts.runs.find_odds(np.array([id_]), np.array([run]))
            needs_network, word = self._counts.needs_network, 0  # no words in a run
            of_network, of_counts = float(needs_network), float(not needs_network)
        logits = np.log(p)
        logits *= of_counts
        if word > 0:
            self._add_words(logits, p, word)
        if network_logits is not None:
            logits = logits + of_network * network_logits
        if runs is not None:
            runs.apply(logits[None])
        return logits

    def _add_words(self, scores: Floats, p: Floats, word: int) -> None:
        """Add the weighted scores of a word's node to scores (V,), in place."""
        if (entries := self._entries.get(word)) is None:
            assert self._words is not None
            if len(self._entries) >= _MAX_WORDS:
                self._entries.clear()
            part = slice(*self._words.starts[word : word + 2].tolist())
            ids, ratios = self._words.characters[part], self._words.ratios[part]
            entries = self._entries[word] = list(zip(ids.tolist(), ratios.tolist(), strict=True))
        # `Weights.words` has a weight for several continuations, and another for a single one.
        weight = self._counts.weights.words[len(entries) == 1]
        numbers: Any = scores.data
        probabilities = p.data
        for id_, ratio in entries:  # The module `charrnn.counts.words` explains the scores.
            numbers[id_] += weight * log1p(ratio / probabilities[id_])

    def _interpolate_contexts(self, nodes: list[int]) -> Floats:
        """Return the probabilities (V,) after the known contexts of 1, 2, ... characters.

        The caller must not change the result.
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
        else:
            numbers: Any = p.data
            for child in range(start, end):
                numbers[self._characters[child]] += self._mass[child]
        return p
