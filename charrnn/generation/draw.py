"""Draw the next character from the network's logits.

The steps, in this order: the logits of banned characters become minus infinity. DRY lowers the
logits of characters that would repeat the text, `new_words` those of characters that leave the
known words and pairs. Below a temperature of 1, debts are added to the logits of the characters
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

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts
from charrnn.counts.tries import Nodes
from charrnn.errors import InputError, RunError
from charrnn.generation.debts import Debts, Ends, Quotes, find_ends, find_payback
from charrnn.generation.dry import DryPenalties
from charrnn.generation.new_words import WordCosts, resolve_new_words
from charrnn.options.sampling import SamplingParams
from charrnn.text.punctuation import NO_PUNCTUATION, Punctuation
from charrnn.text.vocabulary import Vocabulary

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

# The largest inverse of a temperature: its product with a float32 logit is finite in float64, and
# only the likeliest character has a probability above 0.
COLDEST = 1e260
BLANKS = " \t"
RUN_LENGTH = 3  # equal blanks, after which the limits are lifted


def find_banned_ids(params: SamplingParams, vocabulary: Vocabulary) -> list[int]:
    """Return the ids that are never drawn. Raise InputError if no other id is left."""
    banned = set(vocabulary.look_up(params.ban or "").tolist()) - {-1}
    if len(banned) == len(vocabulary):
        raise InputError("ban: every character that the model knows is banned; leave some")
    return sorted(banned)


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
    """Return the ids (N, V) in the order of their scores (N, V), the likeliest first."""
    return np.argsort(-scores, axis=-1, kind="stable")


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """Return the logarithms (..., V) of the probabilities, in float64."""
    scores: Floats = logits.astype(np.float64)
    scores -= np.maximum.reduce(scores, -1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores


class Tail:
    """The end of one text, on which its next character depends.

    Args:
        ids: of the text so far.
        blanks: the ids of `BLANKS`.
        dry: the penalties after the text; None without penalties.
        debts: after the text; None if there are none.
        quotes: the open quotes of the text; None if they are not closed.
        is_started: whether the text has new characters.

    Attributes:
        run: the number of equal blanks at the end of the text.
    """

    def __init__(
        self,
        ids: Sequence[int],
        blanks: frozenset[int],
        dry: DryPenalties | None,
        debts: Debts | None,
        quotes: Quotes | None,
        is_started: bool,
    ) -> None:
        self.dry, self.debts, self.quotes, self.is_started = dry, debts, quotes, is_started
        self.run, self._last, self._blanks = 0, -1, blanks
        for id_ in ids[-RUN_LENGTH:]:
            self._count_blank(id_)

    def append(self, id_: int) -> None:
        """Append a drawn character."""
        if self.dry is not None:
            self.dry.append(id_)
        if self.debts is not None:
            self.debts.pay(id_)
        if self.quotes is not None:
            self.quotes.append(id_)
        self._count_blank(id_)
        self.is_started = True

    def _count_blank(self, id_: int) -> None:
        self.run = 0 if id_ not in self._blanks else self.run + 1 if id_ == self._last else 1
        self._last = id_


class Drawer:
    """Draws the characters of texts with the same params. Threads may share it.

    Args:
        counts: of the model, to whose words and pairs `new_words` refers; None without counts.
        punctuation: of the training text, where it is known.

    Attributes:
        temperature: 0 if the likeliest character is always drawn.
        banned: the ids that are never drawn.
    """

    def __init__(
        self,
        params: SamplingParams,
        vocabulary: Vocabulary,
        counts: Counts | None = None,
        punctuation: Punctuation = NO_PUNCTUATION,
    ) -> None:
        self.params, self.vocabulary, self.pairs = params, vocabulary, punctuation.pairs
        self.temperature = params.temperature if params.sample and params.top_k != 1 else 0.0
        with np.errstate(divide="ignore", over="ignore"):
            self.scale = float(np.minimum(1 / np.float64(self.temperature), COLDEST))
        self.banned = find_banned_ids(params, vocabulary)
        self.min_p = 0.0 if params.plain else params.min_p
        self.needs_ranks = params.top_k is not None or (params.top_p or 1) < 1
        self.blanks: frozenset[int] = frozenset()  # after which the limits are lifted
        if not params.plain:
            self.blanks = frozenset(vocabulary.look_up(BLANKS).tolist()) - {-1}
        self.words: WordCosts | None = None
        if counts is not None and counts.words is not None:
            self.words = WordCosts(counts, resolve_new_words(params, self.temperature))
        self.payback = find_payback(self.scale)
        self.ends: Ends | None = None
        if 0 < self.temperature < 1 and not params.plain:
            self.ends = find_ends(vocabulary, punctuation.shares)

    def resume(self, ids: Sequence[int] = (), is_started: bool = False) -> Tail:
        """Return the end of a text. All its debts are 0.

        Args:
            ids: of the text.
            is_started: whether the text has new characters.
        """
        dry = DryPenalties(self.params, ids) if self.params.dry_multiplier > 0 else None
        debts, quotes = None, None
        if self.ends is not None:
            debts = Debts(self.ends)
            quotes = Quotes(self.vocabulary, self.pairs, ids) if self.pairs else None
        return Tail(ids, self.blanks, dry, debts, quotes, is_started)

    def draw(
        self,
        logits: npt.NDArray[Any],
        uniforms: Sequence[float],
        tails: Sequence[Tail],
        state: Nodes | None = None,
    ) -> list[int]:
        """Draw ids (N,) from logits (N, V) at uniform numbers (N,), and append them to the tails.

        Raise RunError if the highest logit is not finite.

        Args:
            tails: of the texts. Either all of them have penalties, or none.
            state: (N, K + 3), of the model's counts after the texts.
        """
        scores: Floats = logits.astype(np.float64)
        if self.banned:
            scores[:, self.banned] = -np.inf
        if tails[0].dry is not None:
            size = scores.shape[1]
            scores -= np.array([tail.dry.make_penalties(size) for tail in tails if tail.dry])
        if self.words is not None and state is not None:
            self.words.subtract(scores, state, tails[0].is_started)
        highest = np.maximum.reduce(scores, -1, keepdims=True)
        if not all(map(math.isfinite, highest[:, 0].tolist())):
            raise RunError("the model's scores are not numbers: its weights are too large")
        scores -= highest
        if self.temperature:
            ids = self._draw(scores, uniforms, tails)
        else:
            ids = scores.argmax(-1).tolist()
        for tail, id_ in zip(tails, ids, strict=True):
            tail.append(id_)
        return ids

    def _draw(self, scores: Floats, uniforms: Sequence[float], tails: Sequence[Tail]) -> list[int]:
        """Draw at a temperature above 0, with debts and filters.

        Args:
            scores: (N, V), the logits less the highest of each text; changed in place.
        """
        if self.ends is not None:
            self._repay(scores, tails)
        weights = np.exp(scores * self.scale)
        if self.needs_ranks:
            for row, order in zip(weights, rank_ids(scores), strict=True):
                keep_likeliest(row, order, self.params.top_k, self.params.top_p)
        if self.min_p:  # Nguyen et al. 2024 (arXiv 2407.01082)
            weights *= weights >= self.min_p  # the highest weight is 1
        for row, tail in enumerate(tails):
            if tail.run >= RUN_LENGTH:
                weights[row] = np.exp(scores[row] * min(self.scale, 1.0))
        sums = np.add.accumulate(weights, -1)
        rows = zip(sums, uniforms, sums[:, -1].tolist(), strict=True)
        return [int(row.searchsorted(uniform * total, "right")) for row, uniform, total in rows]

    def _repay(self, scores: Floats, tails: Sequence[Tail]) -> None:
        """Apply debts and quotes to the scores (N, V), and make the highest score 0 again."""
        weights = np.exp(scores)
        totals = np.add.reduce(weights, -1).tolist()
        is_moved = False
        for tail, row, exponentials, total in zip(tails, scores, weights, totals, strict=True):
            if tail.debts is not None:
                payback = 0.0 if tail.run >= RUN_LENGTH else self.payback
                is_moved |= tail.debts.repay(row, exponentials, total, payback)
            if tail.quotes is not None:
                tail.quotes.close(row)
                is_moved = True
        if is_moved:
            scores -= np.maximum.reduce(scores, -1, keepdims=True)
