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

The streams of a batch may have different params. Of equally likely characters, the one with the
lower id is first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, make_non_finite_error
from charrnn.generation.debts import Debts, find_payback
from charrnn.generation.dry import DryPenalties
from charrnn.generation.new_words import WordCosts
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# The largest inverse of a temperature: its product with a float32 logit is finite in float64, and
# only the likeliest character has a probability above 0.
COLDEST = 1e260
# The options of the filters, with the neutral value of each
FILTERS = {"top_k": np.inf, "top_p": 1.0, "min_p": 0.0}
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


def keep_likeliest(weights: Floats, top_k: Floats, top_p: Floats) -> Floats:
    """Set to 0 all weights but the k largest, and of these all but the fewest with the share p.

    Top-k is from Fan et al. 2018 (arXiv 1805.04833), top-p from Holtzman et al. 2019 (arXiv
    1904.09751, nucleus sampling).

    Args:
        weights: (..., V), unnormalized probabilities, the likeliest first.
        top_k, top_p: (..., 1).
    """
    weights = np.where(np.arange(weights.shape[-1]) < top_k, weights, 0)
    sums = weights.cumsum(-1)
    # The weight that reaches p stays. A p of 1 keeps all, whatever the rounding of the sums.
    weights[..., 1:] *= ((sums < top_p * sums[..., -1:]) | (top_p >= 1))[..., :-1]
    return weights


def rank_ids(scores: npt.NDArray[Any]) -> Ids:
    """Return the ids in the order of their scores (..., V), the likeliest first."""
    return np.argsort(-scores, axis=-1, kind="stable")


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """Return the logarithms (..., V) of the probabilities, in float64."""
    scores: Floats = logits.astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores


class Batch:
    """The params of N streams as arrays, and how they depend on the texts so far.

    A single stream can have arrays without the first axis (`squeeze`).

    Args:
        texts: the ids of each stream so far, at least the last `RUN_LENGTH`.
        dry: the penalties after the texts of the streams that have some, by their number.
        words: what it costs the streams to leave the known words; None if there are none.
        debts: of the streams; None if they pay none.

    Attributes:
        greedy: (N,), whether the likeliest character is always drawn.
        bias: (N, V), added to the logits; None if no character is banned.
        limits: (N, 2 + F), of the next draw: the factors of the logits and of the debts, and the
            values of `FILTERS`; neutral where `greedy`, and changed in place.
        blanks: the ids of `BLANKS`; empty if there is nothing to lift.
    """

    def __init__(
        self,
        params: Sequence[SamplingParams],
        vocabulary: Vocabulary,
        texts: Sequence[Sequence[int]] | Ids,
        dry: Mapping[int, DryPenalties] | None = None,
        words: WordCosts | None = None,
        debts: Debts | None = None,
    ) -> None:
        temperatures = np.array([resolve_temperature(row) for row in params])
        self.greedy: Flags = temperatures == 0
        self.bias: Array | None = None
        if any(row.ban for row in params):
            self.bias = np.stack([make_bias(row, vocabulary) for row in params])
        with np.errstate(divide="ignore", over="ignore"):
            scale = np.minimum(1 / temperatures, COLDEST)
        neutral = np.array([1, 0, *FILTERS.values()])
        filters = np.array([[getattr(row, name) for name in FILTERS] for row in params], np.float64)
        is_plain = np.array([row.plain for row in params])
        filters[is_plain, [*FILTERS].index("min_p")] = FILTERS["min_p"]
        payback = np.where(is_plain, 0, find_payback(scale))
        ordinary = np.column_stack([scale, payback, filters])
        ordinary = np.where(np.isnan(ordinary) | self.greedy[:, None], neutral, ordinary)
        lifted = np.tile(neutral, (len(ordinary), 1))
        lifted[:, 0] = np.minimum(ordinary[:, 0], 1)  # and then no debt is paid
        lifted[is_plain] = ordinary[is_plain]
        self.limits, self._ordinary, self._lifted = ordinary.copy(), ordinary, lifted
        self.dry, self.words, self.debts = dict(dry or {}), words, debts
        self.blanks: frozenset[int] = frozenset()
        if (lifted != ordinary).any():
            self.blanks = frozenset(vocabulary.look_up(BLANKS).tolist()) - {-1}
        self.depends_on_text = bool(self.dry or self.blanks or words)
        self._runs, self._last = [0] * len(texts), [-1] * len(texts)
        for n, text in enumerate(texts if self.blanks else ()):
            for id_ in text[-RUN_LENGTH:]:
                self._count_blank(n, int(id_))
        # Options that change nothing are skipped in `draw`.
        self.is_greedy = bool(self.greedy.all())
        uses = dict(zip(FILTERS, (ordinary != neutral).any(0)[2:].tolist(), strict=True))
        self.ranks, self._uses_min_p = uses["top_k"] or uses["top_p"], uses["min_p"]
        self._view_limits((-1, 1))

    def _view_limits(self, shape: tuple[int, ...]) -> None:
        """Set views (N, 1) of the current limits, which change in place."""
        views = (column.reshape(shape) for column in self.limits.T)
        self.scale, self.payback, self.top_k, self.top_p, min_p = views
        self.min_p = min_p if self._uses_min_p else None

    def squeeze(self) -> Batch:
        """Return the batch of a single stream without the first axis. Both change together."""
        single = copy(self)
        single.greedy, single.bias = self.greedy[0], None if self.bias is None else self.bias[0]
        single.debts = None if self.debts is None else self.debts.squeeze()
        single._view_limits(())
        return single

    def compute_penalties(self, shape: tuple[int, ...]) -> Floats:
        """Return the penalties (N, V) of DRY for repetitions, which are subtracted from the logits.

        Streams without DRY have zeros.

        Args:
            shape: of the logits: (N, V), or (V,) for a single stream.
        """
        penalties = np.zeros(shape)
        rows = np.atleast_2d(penalties)
        for n, dry in self.dry.items():
            dry.fill(rows[n])
        return penalties

    def append(self, ids: Ids) -> None:
        """Append drawn ids (N,) to the texts."""
        for n, id_ in enumerate(ids.reshape(-1).tolist()):
            if n in self.dry:
                self.dry[n].append(id_)
            if self.words is not None:
                self.words.append(n, id_)
            if self._runs[n] or id_ in self.blanks:
                self._count_blank(n, id_)

    def _count_blank(self, n: int, id_: int) -> None:
        """Update the run of blanks of one stream, and lift its limits or restore them."""
        before, run = self._runs[n], int(id_ in self.blanks)
        if run and id_ == self._last[n]:
            run += before
        self._runs[n], self._last[n] = run, id_
        if (run >= RUN_LENGTH) != (before >= RUN_LENGTH):
            self.limits[n] = (self._lifted if run >= RUN_LENGTH else self._ordinary)[n]


def draw(logits: npt.NDArray[Any], uniforms: Any, batch: Batch) -> Ids:
    """Return the ids (N,) that are drawn from logits (N, V) at uniforms (N,).

    Raise RunError if the highest logit is not finite.
    """
    if batch.bias is not None:
        logits = logits + batch.bias
    if batch.dry:
        logits = logits - batch.compute_penalties(logits.shape)
    if batch.words is not None:
        logits = batch.words.subtract(logits)
    ids: Ids = logits.argmax(-1)
    if is_single := logits.ndim == 1:
        highest = logits[ids]
        is_finite = -np.inf < highest < np.inf
    else:
        highest = logits[np.arange(len(ids)), ids][:, None]
        is_finite = np.isfinite(highest).all()
    if not is_finite:
        raise make_non_finite_error()
    if batch.is_greedy:
        return ids
    weights: Floats = logits.astype(np.float64)
    weights -= highest
    if batch.debts is not None:
        batch.debts.repay(weights, batch.payback)
        # For a single stream, this is faster than a maximum.
        weights -= weights[weights.argmax()] if is_single else weights.max(-1, keepdims=True)
        logits = weights.copy() if batch.ranks else logits
    weights *= batch.scale
    np.exp(weights, weights)
    if batch.ranks:
        order = rank_ids(logits)  # a high temperature makes weights equal, but not the logits
        ranked = np.take_along_axis(weights, order, -1)
        np.put_along_axis(weights, order, keep_likeliest(ranked, batch.top_k, batch.top_p), -1)
    if batch.min_p is not None:  # Nguyen et al. 2024 (arXiv 2407.01082); the highest weight is 1
        weights *= weights >= batch.min_p
    sums = np.add.accumulate(weights, -1, None, weights)
    if is_single:
        ids = sums.searchsorted(uniforms * sums[-1], "right")
    else:
        drawn = (sums <= uniforms[:, None] * sums[:, -1:]).sum(1)
        ids = np.where(batch.greedy, ids, drawn)
    if batch.debts is not None:
        batch.debts.pay(ids)
    return ids
