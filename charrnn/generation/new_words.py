"""How freely words are invented and paired: the odds of leaving the known ones, times `new_words`.

A low factor gives fewer words that neither the text nor its background has, and fewer words that do
not follow the word before them there. If the last word of a prompt is not the beginning of a known
word, the first new character is no letter, so that no letters are added to the user's word.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import RUN, WORD, Counts
from charrnn.counts.tries import Nodes
from charrnn.counts.words import UNKNOWN
from charrnn.options.sampling import SamplingParams

NEVER = 1e4  # nats, the cost of a character that is only written if nothing else is allowed
COLD, COLD_FACTOR = 0.8, 0.3  # the default of new_words at this temperature


def resolve_new_words(params: SamplingParams, temperature: float) -> float:
    """Return the factor of the odds. The default is 1 from a temperature of 1 on.

    The temperature divides the logarithm of the factor. So below `COLD`, the default is such that
    the effect is that at `COLD`.
    """
    if params.new_words is not None:
        return params.new_words
    if temperature <= COLD:
        return COLD_FACTOR ** (temperature / COLD)
    return COLD_FACTOR + (1 - COLD_FACTOR) * min((temperature - COLD) / (1 - COLD), 1.0)


class WordCosts:
    """The costs of leaving the known words and pairs.

    Args:
        counts: with a word table.
        factor: of the odds of leaving them.
    """

    def __init__(self, counts: Counts, factor: float) -> None:
        assert counts.words is not None
        self.words, self.pairs = counts.words, counts.pairs
        self.cost = -math.log(factor) if factor else NEVER

    def subtract(
        self, logits: npt.NDArray[Any], state: Nodes, is_started: bool
    ) -> npt.NDArray[Any]:
        """Return the logits (N, V) less the costs.

        Args:
            state: (N, K + 3), of the counts after the texts.
            is_started: whether the texts have new characters.
        """
        if not is_started:
            is_added = (state[:, WORD, None] == UNKNOWN) & (self.words.letters > 0)
            logits = np.where(is_added, logits - np.float32(NEVER), logits)
        if self.cost:
            leaving = [self._find_leaving(*both) for both in state[:, WORD:RUN].tolist()]
            logits = logits - self.cost * np.concatenate(leaving).reshape(logits.shape)
        return logits

    def _find_leaving(self, word: int, pair: int) -> npt.NDArray[np.float32]:
        """Return how much (V,) each character leaves the known words and pairs at two nodes."""
        leaving = self.words.find_leaving(word)
        return leaving if self.pairs is None else self.pairs.add_leaving(leaving, pair)
