"""Draw the next character from the network's logits.

The steps, in this order: the logits of banned characters become minus infinity. DRY lowers the
logits of characters that would repeat the text, `new_words` those of characters that leave the
known words. Below a temperature of 1, debts are added to the logits of the characters
that end lines and sentences. The temperature divides the logits. top_k, top_p and min_p remove
characters. The drawn id is the inverse of the cumulative distribution at a uniform random number in
[0, 1). So the same numbers give the same text in every engine, except for draws within rounding of
a boundary. The sums are in float64, because float32 would move these boundaries a billion times as
far.

After three equal blanks or tabs, the next character is drawn at a temperature of at least 1 and
without the filters, so that the length of an indentation follows the model. A temperature below 1
would sharpen "one more blank" at every step of a run, and a long run would never end.

Of equally likely characters, the one with the lower id is first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, make_non_finite_error
from charrnn.generation.debts import Debts, find_ends, find_payback
from charrnn.generation.dry import DryPenalties
from charrnn.generation.new_words import WordCosts
from charrnn.generation.quotes import Quotes
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

# The largest inverse of a temperature: its product with a float32 logit is finite in float64, and
# only the likeliest character has a probability above 0.
COLDEST = 1e260
BLANKS = " \t"
RUN_LENGTH = 3  # equal blanks, after which the limits are lifted


def resolve_temperature(params: SamplingParams) -> float:
    """Return the temperature; 0 if the likeliest character is always drawn."""
    return params.temperature if params.sample and params.top_k != 1 else 0.0


def find_banned_ids(params: SamplingParams, vocabulary: Vocabulary) -> list[int]:
    """Return the ids that are never drawn. Raise InputError if no other id is left."""
    banned = set(vocabulary.look_up(params.ban or "").tolist()) - {-1}
    if len(banned) == len(vocabulary):
        raise InputError("ban: every character that the model knows is banned; leave some")
    return sorted(banned)


def make_bias(params: SamplingParams, vocabulary: Vocabulary) -> Array:
    """Return the numbers (V,) that are added to the logits: minus infinity for banned ids."""
    bias = np.zeros(len(vocabulary), np.float32)
    bias[find_banned_ids(params, vocabulary)] = -np.inf
    return bias


def keep_likeliest(weights: Floats, order: Ids, top_k: int | None, top_p: float | None) -> None:
    """Set to 0 all weights but the k largest, and of these all but the fewest with the share p.

    Top-k is from Fan et al. 2018 (arXiv 1805.04833), top-p from Holtzman et al. 2019 (arXiv
    1904.09751, nucleus sampling).

    Args:
        weights: (V,), unnormalized probabilities; changed in place.
        order: (V,), the ids, the likeliest first. A high temperature makes weights equal.
    """
    num_kept = len(order) if top_k is None else min(top_k, len(order))
    if top_p is not None and top_p < 1:
        sums = weights[order[:num_kept]].cumsum()
        num_kept = 1 + int((sums[:-1] < top_p * sums[-1]).sum())  # The weight that reaches p stays.
    weights[order[num_kept:]] = 0


def rank_ids(scores: npt.NDArray[Any]) -> Ids:
    """Return the ids in the order of their scores (..., V), the likeliest first."""
    return np.argsort(-scores, axis=-1, kind="stable")


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """Return the logarithms (..., V) of the probabilities, in float64."""
    scores: Floats = logits.astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores


class Drawer:
    """Draws the characters of one text.

    Args:
        text: the ids so far, at least the last `RUN_LENGTH`.
        dry: the penalties after the text; None without penalties. It is changed.
        words: what it costs to leave the known words; None if there are none.
        debts: (E,), of the characters of `find_ends`; None if all are 0.
        quotes: the open quotes of the text, if they are closed. It is changed.
        shares: of marks in the training text, where they are known.
    """

    def __init__(
        self,
        params: SamplingParams,
        vocabulary: Vocabulary,
        text: Sequence[int],
        dry: DryPenalties | None = None,
        words: WordCosts | None = None,
        debts: Floats | None = None,
        quotes: Quotes | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.params, self.dry, self.words = params, dry, words
        self.temperature = resolve_temperature(params)
        with np.errstate(divide="ignore", over="ignore"):
            self.scale = float(np.minimum(1 / np.float64(self.temperature), COLDEST))
        self.bias = make_bias(params, vocabulary) if params.ban else None
        self.debts: Debts | None = None
        if 0 < self.temperature < 1 and not params.plain:
            ends = find_ends(vocabulary, shares or {})
            self.debts = Debts(ends, debts, text[-1] if len(text) else -1)
        self.quotes = None if self.debts is None else quotes
        self.payback = find_payback(self.scale)
        self.min_p = 0.0 if params.plain else params.min_p
        self.needs_ranks = params.top_k is not None or (params.top_p or 1) < 1
        self.blanks = frozenset(vocabulary.look_up(BLANKS).tolist()) - {-1}
        # the number of equal blanks at the end of the text, and its last character
        self.run, self.last = 0, -1
        for id_ in text[-RUN_LENGTH:]:
            self._count_blank(int(id_))

    def draw(self, logits: npt.NDArray[Any], uniform: float) -> int:
        """Return the id that is drawn from logits (V,) at a uniform number, and append it.

        Raise RunError if the highest logit is not finite.
        """
        if self.bias is not None:
            logits = logits + self.bias
        if self.dry is not None:
            logits = logits - self.dry.make_penalties(len(logits))
        if self.words is not None:
            logits = self.words.subtract(logits)
        id_ = int(logits.argmax())
        highest = logits[id_]
        if not -np.inf < highest < np.inf:
            raise make_non_finite_error()
        if self.temperature:
            id_ = self._draw(logits, id_, uniform)
        if self.dry is not None:
            self.dry.append(id_)
        if self.words is not None:
            self.words.append(id_)
        if self.quotes is not None:
            self.quotes.append(id_)
        self._count_blank(id_)
        return id_

    def _draw(self, logits: npt.NDArray[Any], likeliest: int, uniform: float) -> int:
        """Draw an id at a temperature above 0, with debts and filters."""
        is_lifted = self.run >= RUN_LENGTH and not self.params.plain
        weights: Floats = logits.astype(np.float64)
        weights -= weights[likeliest]
        if self.debts is not None:
            self.debts.repay(weights, 0.0 if is_lifted else self.payback)
            if self.quotes is not None:
                self.quotes.close(weights)
            weights -= weights.max()
        order = None
        if self.needs_ranks and not is_lifted:
            order = rank_ids(weights if self.debts is not None else logits)
        weights *= min(self.scale, 1.0) if is_lifted else self.scale
        np.exp(weights, weights)
        if order is not None:
            keep_likeliest(weights, order, self.params.top_k, self.params.top_p)
        if self.min_p and not is_lifted:  # Nguyen et al. 2024 (arXiv 2407.01082)
            weights *= weights >= self.min_p  # the highest weight is 1
        sums = np.add.accumulate(weights, 0, None, weights)
        id_ = int(sums.searchsorted(uniform * sums[-1], "right"))
        if self.debts is not None:
            self.debts.pay(id_)
        return id_

    def _count_blank(self, id_: int) -> None:
        """Update the run of equal blanks at the end of the text."""
        self.run = 0 if id_ not in self.blanks else self.run + 1 if id_ == self.last else 1
        self.last = id_
