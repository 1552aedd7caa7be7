"""Debts: at a low temperature, lines and sentences end as often as the model expects.

A temperature below 1 makes the likelier choice likelier at every place. In most places the sentence
does not end, so a cold text would seldom end one. Each stream therefore keeps a debt for the
newline and for each mark that ends a sentence: the sum of the probabilities of the character so
far, at a temperature of 1 and before the filters, minus how often it was drawn. Before the
temperature divides the logits, a multiple of the debt is added to the character's logit. So it
appears as often as the model expects, at the places that suit it best.

A positive debt is not paid directly after an end, because two ends in a row are rare. Only a
newline may follow a mark.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.text.sentences import MARKS
from charrnn.text.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

NEWLINE = "\n"
LOWEST, HIGHEST = -1.0, 3.0  # of a debt
PAYBACK = 2.0  # the factor of a debt is this times 1 / temperature - 1
# The largest factor, which is that of a temperature of 0.25. With a larger one, a small debt would
# be paid where the model gives its character no probability.
LARGEST_PAYBACK = 6.0


def find_payback(scale: Floats) -> Floats:
    """Return the factors of the debts where the logits are multiplied by `scale`.

    They are 0 from a temperature of 1 on.
    """
    return np.clip(PAYBACK * (scale - 1), 0, LARGEST_PAYBACK)


class Ends(NamedTuple):
    """The characters of a vocabulary that end lines and sentences."""

    ids: Ids  # (E,)
    places: Ids  # (V,), the place of each character in `ids`; E for all others
    # (E + 1, E), whether a positive debt of each is paid after a character of each place
    pays: npt.NDArray[np.bool_]


def find_ends(vocabulary: Vocabulary) -> Ends:
    """Return the characters of a vocabulary that end lines and sentences."""
    ends = [end for end in NEWLINE + MARKS if end in vocabulary]
    ids, E = vocabulary.look_up("".join(ends)), len(ends)
    places = np.full(len(vocabulary), E)
    places[ids] = np.arange(E)
    pays = np.zeros((E + 1, E), bool)
    pays[E] = True
    if ends[:1] == [NEWLINE]:
        pays[1:, 0] = True
    return Ends(ids, places, pays)


class Debts:
    """The debts of N streams.

    Args:
        ends: the characters that have debts.
        values: (N, E), the debts so far; changed in place.
        last: (N,), the last character of each stream, or -1.
    """

    def __init__(self, ends: Ends, values: Floats, last: Ids) -> None:
        self.ends, self.values = ends, values
        self.last_places = np.where(last < 0, len(ends.ids), ends.places[last])

    def repay(self, scores: Floats, payback: Floats) -> None:
        """Add multiples of the debts to the scores, and the model's probabilities to the debts.

        Args:
            scores: (N, V), the logits less the highest of each stream; changed in place.
            payback: (N, 1), the factors.
        """
        pays, weights = self.ends.pays[self.last_places], np.exp(scores)
        due = self.values if pays.all() else np.where(pays, self.values, self.values.clip(max=0))
        scores[:, self.ends.ids] += payback * due
        self.values += weights[:, self.ends.ids] / weights.sum(1, keepdims=True)
        np.minimum(self.values, HIGHEST, out=self.values)

    def pay(self, ids: Ids) -> None:
        """Subtract the drawn ids (N,) from the debts."""
        self.last_places = self.ends.places[ids]
        self.values -= self.last_places[:, None] == np.arange(len(self.ends.ids))
        np.maximum(self.values, LOWEST, out=self.values)

    def squeeze(self) -> Any:
        """Return the debts of a single stream. Both change their values together."""
        return SingleDebts(self)


class SingleDebts:
    """The debts of one stream. Like `Debts`, but its arrays have no first axis.

    For the few ends, loops in Python are faster than NumPy.
    """

    def __init__(self, debts: Debts) -> None:
        self._places = {id_: place for place, id_ in enumerate(debts.ends.ids.tolist())}
        self._values, self._table = debts.values[0].data, debts.ends.pays.tolist()
        self._pays = self._table[debts.last_places[0]]

    def repay(self, scores: Floats, payback: Floats) -> None:
        weights = np.exp(scores)
        total, factor, values = weights.sum().item(), payback.item(), self._values
        numbers, probabilities = scores.data, weights.data
        for id_, place in self._places.items():
            debt = values[place]
            if debt < 0 or self._pays[place]:
                numbers[id_] += factor * debt
            values[place] = min(debt + probabilities[id_] / total, HIGHEST)

    def pay(self, id_: int) -> None:
        place = self._places.get(id_, -1)  # The last row is that of all other characters.
        self._pays = self._table[place]
        if place >= 0:
            self._values[place] = max(self._values[place] - 1, LOWEST)
