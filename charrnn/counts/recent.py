"""The mixture for a few streams that are written character by character."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np

from charrnn.counts.mixing import Counts, Floats
from charrnn.counts.run_lengths import continue_runs
from charrnn.counts.tries import Nodes

_FEW_CHILDREN = 32  # up to this number, a loop in Python is faster than NumPy
_MAX_CACHED = 1 << 21  # numbers


class RecentContexts:
    """Mixes like `Counts`, but faster for a few streams.

    For the few numbers of a context, NumPy's calls would be slower than Python. So this class works
    in Python, and caches the predictions after recent contexts: a new prediction starts from the
    longest cached context. It is safe to share between threads, because cached arrays and lists
    never change.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts, self._table, self._runs = counts, counts.table, counts.runs
        self._weights = counts.weights.words, counts.weights.pairs
        # Python reads single numbers from a memoryview faster than from an array.
        self._characters, self._starts = self._table.characters.data, self._table.starts.data
        self._mass, self._backoff = self._table.mass_and_backoff
        self._mass_numbers, self._by_place = self._mass.data, counts.by_place.tolist()
        self._predictions: dict[int, Floats] = {}  # (V,) after the context of each node

    def mix(self, states: Nodes, network_logits: Floats | None) -> Floats:
        """Return the logits (N, V) after states (N, K + 3), like `Counts.mix`."""
        rows = states.tolist()
        network = [None] * len(rows) if network_logits is None else network_logits
        mixed = [self._mix(row, logits) for row, logits in zip(rows, network, strict=True)]
        return np.stack(mixed) if len(mixed) > 1 else mixed[0][np.newaxis]

    def _mix(self, state: list[int], network_logits: Floats | None) -> Floats:
        """Return the logits (V,) of the mixture for one stream."""
        *nodes, word, pair, run = state  # The known contexts come first, then zeros.
        length = nodes.index(0) if nodes[-1] == 0 else len(nodes)
        p = self._interpolate_contexts(nodes[:length])
        of_network, of_counts = self._by_place[word != 0][length]
        logits = np.log(p)
        if self._runs is not None and run >= self._runs.least:
            characters = self._table.characters[nodes[:1]]
            odds, may_end = self._runs.find_odds(characters, np.array([run]))
            if odds[0]:
                others: Any = network_logits if self._counts.needs_network else logits
                return continue_runs(others[None], characters, odds, may_end)[0]
        logits *= of_counts
        if word > 0 or pair:
            self._add_scores(logits, p, state)
        if network_logits is not None:
            logits += of_network * network_logits
        return logits

    def _add_scores(self, logits: Floats, p: Floats, state: list[int]) -> None:
        """Add the weighted scores of words and pairs to logits (V,), in place.

        The module `charrnn.counts.tries` explains the scores.
        """
        numbers: Any = logits.data
        probabilities, total = p.tolist(), 1.0
        for (trie, column), weights in zip(self._counts.tries, self._weights, strict=False):
            if (node := state[column]) <= 0:
                continue
            entries, is_single = trie.list_symbols(node)
            weight, added = weights[is_single], 0.0
            for members, ratio in entries:
                gain = ratio * total / sum([probabilities[id_] for id_ in members])
                score = weight * log1p(gain)
                for id_ in members:
                    numbers[id_] += score
                    probabilities[id_] *= 1 + gain
                added += ratio * total
            total += added

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
        start, end = self._starts[node], self._starts[node + 1]
        p: Floats = shorter * self._backoff[node]
        if end - start > _FEW_CHILDREN:
            p[self._table.characters[start:end]] += self._mass[start:end]
        else:
            numbers: Any = p.data
            for child in range(start, end):
                numbers[self._characters[child]] += self._mass_numbers[child]
        return p
