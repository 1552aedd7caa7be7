"""How freely words are invented and paired: the odds of leaving the known ones, times `new_words`.

A low factor gives fewer words that neither the text nor its background has, and fewer words that do
not follow the word before them there. If the last word of a prompt is not the beginning of a known
word, the first new character is no letter, so that no letters are added to the user's word.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import RUN, WORD, Counts
from charrnn.counts.tries import Nodes
from charrnn.counts.words import UNKNOWN
from charrnn.options.sampling import SamplingParams

Floats = npt.NDArray[np.float64]

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

    def subtract(self, scores: Floats, state: Nodes, is_started: bool) -> None:
        """Subtract the costs from scores (N, V), in place.

        Args:
            state: (N, K + 3), of the counts after the texts.
            is_started: whether the texts have new characters.
        """
        if not is_started:
            is_cut = state[:, WORD, None] == UNKNOWN
            scores -= np.where(is_cut & (self.words.letters > 0), NEVER, 0)
        for row, (word, pair) in zip(scores, state[:, WORD:RUN].tolist(), strict=True):
            if word >= 0:
                row[self.words.trie.list_followers(word)] += self.cost
            if self.pairs is not None and (times := self.pairs.count_passages(pair)) > 1:
                row[self.pairs.trie.list_followers(pair)] += self.cost * (2 - 2 / times)
