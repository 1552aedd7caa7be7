"""Debts: at a low temperature, lines and sentences end as often as at a temperature of 1.

A temperature below 1 makes the likelier choice likelier at every place. In most places the sentence
does not end, so a cold text would seldom end one. A text therefore has a debt for the newline and
for each mark that ends a sentence: how often it is due so far, minus how often it was drawn. A mark
is due as often as in the training text, because a model of a small text does not expect it often
enough. The newline, and a mark whose share is not known, are due as often as the model expects
them: the sum of their probabilities at a temperature of 1 and before the filters. Before the
temperature divides the logits, a multiple of the debt is added to the character's logit. So it
appears as often as it is due, at the places that suit it best.

A positive debt is not paid directly after an end, because two ends in a row are rare. Only a
newline may follow a mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.text.punctuation import MARKS
from charrnn.text.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]

NEWLINE = "\n"
LOWEST, HIGHEST = -1.0, 3.0  # of a debt
PAYBACK = 2.0  # the factor of a debt is this times 1 / temperature - 1
# The largest factor, which is that of a temperature of 0.25. With a larger one, a small debt would
# be paid where the model gives its character no probability.
LARGEST_PAYBACK = 6.0


def find_payback(scale: float) -> float:
    """Return the factor of the debts where the logits are multiplied by `scale`.

    It is 0 from a temperature of 1 on.
    """
    return min(max(PAYBACK * (scale - 1), 0.0), LARGEST_PAYBACK)


class Ends(NamedTuple):
    """The characters of a vocabulary that end lines and sentences."""

    places: dict[int, int]  # the place of the debt of each id
    shares: dict[int, float]  # of ids in the training text, where they are known
    newline: int  # its id; -1 without one


def find_ends(vocabulary: Vocabulary, shares: Mapping[str, float]) -> Ends:
    """Return the characters of a vocabulary that end lines and sentences."""
    ends = [end for end in NEWLINE + MARKS if end in vocabulary]
    ids = vocabulary.look_up("".join(ends)).tolist()
    known = {id_: shares[end] for id_, end in zip(ids, ends, strict=True) if end in shares}
    places = {id_: place for place, id_ in enumerate(ids)}
    return Ends(places, known, int(vocabulary.look_up(NEWLINE)[0]))


class Debts:
    """The debts of a text.

    Attributes:
        last: the last drawn character, or -1.
        values: (E,), the debts so far.
    """

    def __init__(self, ends: Ends) -> None:
        self.ends, self.last = ends, -1
        self.values = [0.0] * len(ends.places)

    def repay(self, scores: Floats, weights: Floats, total: float, payback: float) -> bool:
        """Add multiples of the debts to the scores, and what is due to the debts.

        Args:
            scores: (V,), the logits less the highest; changed in place.
            weights: (V,), exp(scores), whose sum is `total`.

        Returns:
            Whether the highest score may have changed.
        """
        numbers: Any = scores.data  # For the few ends, Python is faster than NumPy.
        probabilities, values, (places, shares, newline) = weights.data, self.values, self.ends
        last, is_moved = self.last, False
        is_after_end = last in places
        for id_, place in places.items():
            debt = values[place]
            if debt < 0 or not is_after_end or id_ == newline != last:
                before = numbers[id_]
                numbers[id_] = after = before + payback * debt
                is_moved = is_moved or before == 0 or after > 0
            due = shares[id_] if id_ in shares else probabilities[id_] / total
            values[place] = min(debt + due, HIGHEST)
        return is_moved

    def pay(self, id_: int) -> None:
        """Subtract a drawn character from the debts."""
        self.last = id_
        if (place := self.ends.places.get(id_)) is not None:
            self.values[place] = max(self.values[place] - 1, LOWEST)
