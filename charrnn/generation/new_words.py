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
    """The costs of leaving the known words, for one text.

    Args:
        factor: of the odds of leaving them.
        text: the ids so far; at least the last `LOOK_BACK` of a started text.
        is_started: whether the text has new characters.
    """

    def __init__(
        self, known: KnownWords, factor: float, text: Sequence[int], is_started: bool
    ) -> None:
        self.known, self.cost = known, -math.log(factor) if factor else NEVER
        if is_started:
            self.node = known.find_node(text[-LOOK_BACK:])
        else:
            self.node = find_first_node(known, text)

    def subtract(self, logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the logits (V,) less the costs."""
        if self.node == STRANGE:
            return np.where(self.known.letters > 0, logits - np.float32(NEVER), logits)
        costs = self.known.make_costs(self.node, self.cost) if self.cost else None
        return logits if costs is None else logits - costs

    def append(self, id_: int) -> None:
        """Append an id to the text."""
        self.node = self.known.extend(id_, self.node)
