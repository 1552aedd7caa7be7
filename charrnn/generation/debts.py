"""Debts: at a low temperature, lines, sentences and quotes end as they do at a temperature of 1.

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

A model also forgets that a quote or a bracket is open. Where the quotes of its text close, no
paragraph ends within one: the mark that closes the last opened quote gets the probability of a
newline, and no mark is written that neither opens nor closes a quote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.generation.new_words import NEVER
from charrnn.text.punctuation import MARKS, may_come
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


class Quotes:
    """The open quotes of a text.

    Args:
        pairs: the marks of quotes that close.
        text: the ids so far.
    """

    def __init__(self, vocabulary: Vocabulary, pairs: Sequence[str], text: Sequence[int]) -> None:
        self.characters = vocabulary.characters
        self.pairs = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
        marks = NEWLINE + "".join(self.pairs)
        self.ids = dict(zip(marks, vocabulary.look_up(marks).tolist(), strict=True))
        self.open: tuple[str, ...] = ()  # pairs, in the order of their openings
        self.before = NEWLINE
        for id_ in text:
            self.append(id_)

    def append(self, id_: int) -> None:
        """Append an id to the text."""
        character = self.characters[id_]
        if character == NEWLINE:
            self.open = ()
        elif character in self.ids:
            for pair in self.pairs:
                if character in pair and may_come(pair, pair in self.open, self.before, character):
                    others = tuple(other for other in self.open if other != pair)
                    self.open = others if pair in self.open else (*others, pair)
        self.before = character

    def close(self, scores: Floats) -> None:
        """Move the newline's probability in scores (V,), and lower those of misplaced marks."""
        newline = self.ids[NEWLINE]
        if self.open and newline >= 0:
            closing = self.ids[self.open[-1][1]]
            if scores[closing] > -np.inf:  # else it is banned
                scores[closing] = np.logaddexp(scores[closing], scores[newline])
            scores[newline] -= NEVER
        for pair in self.pairs:
            for mark in dict.fromkeys(pair):
                if not may_come(pair, pair in self.open, self.before, mark):
                    scores[self.ids[mark]] -= NEVER
