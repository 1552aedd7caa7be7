"""How freely words are invented: the odds of leaving the known words, times `new_words`.

A low factor gives fewer words that neither the text nor its background has. If the last word of a
prompt is not the beginning of a known word, the first new character is no letter, so that no
letters are added to the user's word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.known_words import KnownWords
from charrnn.counts.words import MAX_LETTERS
from charrnn.options.sampling import SamplingParams

STRANGE = -2  # the node of a prompt's last word, if it is no beginning of a known word
NEVER = 1e4  # nats, the cost of a character that is only written if nothing else is allowed
LOOK_BACK = MAX_LETTERS + 1  # characters that tell the node of a word; it is UNKNOWN after more
COLD, COLD_FACTOR = 0.8, 0.3  # the default of new_words up to this temperature


def resolve_new_words(params: SamplingParams, temperature: float) -> float:
    """Return the factor of the odds. The default is 1 from a temperature of 1 on."""
    if params.new_words is not None:
        return params.new_words
    warmth = (temperature - COLD) / (1 - COLD)
    return COLD_FACTOR + (1 - COLD_FACTOR) * min(max(warmth, 0.0), 1.0)


def find_first_node(known: KnownWords, text: Sequence[int]) -> int:
    """Return the node of a prompt's last word, or `STRANGE`."""
    node = 0
    for id_ in take_last_letters(known, text):
        before, node = node, known.extend(id_, node)
        if node < 0 and (before == STRANGE or 0 <= before < known.num_complete):
            node = STRANGE
    return node


def take_last_letters(known: KnownWords, text: Sequence[int]) -> list[int]:
    """Return the ids of the letters at the end of a text, in their order."""
    letters = takewhile(lambda id_: known.letters[id_] > 0, reversed(text))
    return [*letters][::-1]


class WordCosts:
    """The costs of leaving the known words, for N streams.

    Args:
        params: of each stream.
        temperatures: (N,), 0 where the likeliest character is always drawn.
        texts: the ids of each stream so far; at least the last `LOOK_BACK` of a started stream.
        is_started: whether each stream has new characters.
    """

    def __init__(
        self,
        known: KnownWords,
        params: Sequence[SamplingParams],
        temperatures: npt.NDArray[np.float64],
        texts: Sequence[Sequence[int]],
        is_started: Sequence[bool],
    ) -> None:
        self.known, self._free = known, np.zeros(len(known.letters), np.float32)
        factors = map(resolve_new_words, params, temperatures.tolist())
        self.costs = [-math.log(factor) if factor else NEVER for factor in factors]
        self.nodes = [
            known.find_node(text[-LOOK_BACK:]) if started else find_first_node(known, text)
            for text, started in zip(texts, is_started, strict=True)
        ]

    def subtract(self, logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the logits (N, V) less the costs. A single stream may have no first axis."""
        if logits.ndim == 1:
            costs = self._make_costs(self.nodes[0], self.costs[0])
            return logits if costs is None else logits - costs
        rows = map(self._make_costs, self.nodes, self.costs)
        return logits - np.stack([self._free if row is None else row for row in rows])

    def _make_costs(self, node: int, cost: float) -> npt.NDArray[np.float32] | None:
        if node == STRANGE:
            return np.where(self.known.letters > 0, np.float32(NEVER), np.float32(0))
        return self.known.make_costs(node, cost) if cost else None

    def append(self, n: int, id_: int) -> None:
        """Append an id to the text of a stream."""
        self.nodes[n] = self.known.extend(id_, self.nodes[n])
