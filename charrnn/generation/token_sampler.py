"""Draw the next character from the network's logits.

In this order: a bias is added to the logits, minus infinity for what is banned; DRY takes from
those that would repeat the text; the temperature divides them; of the probabilities top_k, top_p
and min_p leave some out. A draw is the inverse of the cumulated sum of the rest at one uniform
number in [0, 1), so that the same numbers give the same text in every engine, but for draws that
fall within rounding of a boundary. The sums are in float64: a vocabulary is short beside the
network, and float32 sums would move those boundaries a billion times as far.

Each stream of a batch may have params of its own. Of equally likely characters the one with the
lower id comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, non_finite_scores
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# The inverse of a temperature is held below this, so that no difference of float32 logits
# times it leaves the range of float64; at that heat everything but the likeliest is 0 anyway.
_COLDEST = 1e260
# The filters by their options, with the value at which each leaves nothing out
FILTERS = {"top_k": np.inf, "top_p": 1.0, "min_p": 0.0}
_LARGEST_PENALTY = 1e30  # all of these together are still a number

Params = SamplingParams | Sequence[SamplingParams]  # for all streams of a batch, or for each


def each_of(params: Params, streams: int) -> list[SamplingParams]:
    """Those of every stream."""
    return [params] * streams if isinstance(params, SamplingParams) else list(params)


def temperature_of(params: SamplingParams) -> float:
    """What divides the logits; 0: the likeliest character is taken."""
    return params.temperature if params.sample else 0.0


def banned_ids(params: SamplingParams, vocabulary: Vocabulary) -> list[int]:
    """The ids that are never drawn.

    Raises:
        InputError: they are all.
    """
    banned = set(vocabulary.look_up(params.ban or "").tolist()) - {-1}
    if len(banned) == len(vocabulary):
        raise InputError("ban: every character that the model knows is banned; leave some")
    return sorted(banned)


def logit_bias(params: SamplingParams, vocabulary: Vocabulary) -> Array:
    """What is added to the logits (V,): minus infinity for what is banned, 0 for most.

    Characters that the model does not know are left out.

    Raises:
        InputError: all characters are banned.
    """
    biases = np.zeros(len(vocabulary))
    for characters, bias in (params.logit_bias or {}).items():
        for id_ in vocabulary.look_up(str(characters)).tolist():
            if id_ >= 0:
                biases[id_] += bias
    biases[banned_ids(params, vocabulary)] = -np.inf
    return biases.astype(np.float32)


def dry_penalties(text: str, params: SamplingParams) -> dict[int, float]:
    """What is taken from the logits of ids that would go on with a sequence of the text.

    DRY, text-generation-webui PR 5677. Where the last n characters, `dry_allowed_length` or
    more, stand in the text before, the one that followed them there loses
    ``dry_multiplier * dry_base ** (n - dry_allowed_length)``; with the longest n counts.

    Args:
        text: `chr` of each id so far.
    """
    allowed, base = params.dry_allowed_length, params.dry_base
    penalties: dict[int, float] = {}
    end = text[-allowed:]
    place = text.find(end, 0, -1) if len(text) > allowed else -1
    while place >= 0:
        penalty, before, last = params.dry_multiplier, place - 1, len(text) - allowed - 1
        while before >= 0 and text[before] == text[last] and penalty < _LARGEST_PENALTY:
            penalty, before, last = penalty * base, before - 1, last - 1
        follows = ord(text[place + allowed])
        penalties[follows] = max(penalties.get(follows, 0), min(penalty, _LARGEST_PENALTY))
        place = text.find(end, place + 1, -1)
    return penalties


def top_k_and_p(weights: Floats, top_k: Floats, top_p: Floats) -> Floats:
    """The k likeliest, and of these the fewest that together have at least the share p.

    Top-k is Fan et al. 2018 (arXiv 1805.04833), top-p nucleus sampling (arXiv 1904.09751).

    Args:
        weights: (N, V), unnormalized probabilities, the likeliest first.
        top_k, top_p: (N, 1).

    Returns:
        The weights, with 0 for what is left out.
    """
    weights = np.where(np.arange(weights.shape[-1]) < top_k, weights, 0)
    sums = weights.cumsum(-1)
    # the one that reaches p stays; a p of 1 leaves nothing out, whatever the sums are rounded to
    weights[:, 1:] *= ((sums < top_p * sums[:, -1:]) | (top_p >= 1))[:, :-1]
    return weights


class Batch:
    """The params of N streams as arrays.

    Attributes:
        greedy: (N,), whether the likeliest character is taken.
        scale: (N, 1), what the logits are multiplied with; 1 where `greedy`.
        bias: (N, V), what is added to the logits before; None where that is nothing.
        limits: (N, F), the values of `FILTERS`; those that leave nothing out where `greedy`.
        ranks: whether top_k or top_p acts on some stream.
        penalized: the streams that have a penalty.
    """

    def __init__(self, params: Params, streams: int, vocabulary: Vocabulary) -> None:
        self.each = each = each_of(params, streams)
        temperatures = np.array([temperature_of(one) for one in each])
        self.greedy: Flags = temperatures == 0
        with np.errstate(divide="ignore", over="ignore"):
            scale = np.minimum(1 / temperatures, _COLDEST)
        self.scale: Floats = np.where(self.greedy, 1, scale)[:, None]
        self.bias: Array | None = None
        if any(one.ban or one.logit_bias for one in each):
            self.bias = np.stack([logit_bias(one, vocabulary) for one in each])
        off = np.array([*FILTERS.values()])
        values = [[getattr(one, name) for name in FILTERS] for one in each]
        limits = np.array(values, np.float64).reshape(-1, len(FILTERS))
        self.limits: Floats = np.where(np.isnan(limits) | self.greedy[:, None], off, limits)
        self.ranks = bool((self.limits != off)[:, :2].any())
        self.penalized = [n for n, one in enumerate(each) if one.dry_multiplier]


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """The logarithms (..., V) of the probabilities, in float64."""
    scores: Floats = logits.astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores


def likeliest_first(scores: Floats) -> Ids:
    """The ids by their scores (..., V). Heat makes weights equal, but not this order."""
    return np.argsort(-scores, axis=-1, kind="stable")


class TokenSampler:
    """Draws for N streams at once.

    Args:
        texts: ids of what stands before, in each stream, which the penalties go by.
    """

    def __init__(self, params: Params, vocabulary: Vocabulary, texts: Sequence[Ids]) -> None:
        self._batch = batch = Batch(params, len(texts), vocabulary)
        self._rows = np.arange(len(texts))[:, None]
        # an option that changes nothing costs nothing
        self._all_greedy = bool(batch.greedy.all())
        self._scale = batch.scale if (batch.scale != 1).any() else None
        self._top_k, self._top_p, min_p = np.split(batch.limits, len(FILTERS), 1)
        self._min_p = min_p if min_p.any() else None
        self._texts = list[str]()
        if batch.penalized:
            self._texts = ["".join(map(chr, text.tolist())) for text in texts]

    def draw(self, logits: npt.NDArray[Any], uniforms: Floats) -> Ids:
        """The ids (N,) for logits (N, V), float32 or float64, at uniforms (N,).

        Raises:
            RunError: there is nothing to choose among, or no numbers.
        """
        if self._batch.bias is not None:
            logits = logits + self._batch.bias
        scores: Floats = logits.astype(np.float64)
        for n in self._batch.penalized:
            for id_, penalty in dry_penalties(self._texts[n], self._batch.each[n]).items():
                scores[n, id_] -= penalty
        ids = (
            self._drawn(scores, uniforms) if len(scores) > 1 else self._drawn_one(scores, uniforms)
        )
        if self._texts:
            self._texts = [t + chr(id_) for t, id_ in zip(self._texts, ids.tolist(), strict=True)]
        return ids

    def _drawn(self, scores: Floats, uniforms: Floats) -> Ids:
        """The ids for scores (N, V), which are overwritten."""
        ids: Ids = scores.argmax(1)
        highest = scores[self._rows, ids[:, None]]
        if not np.isfinite(highest).all():
            raise non_finite_scores()
        if self._all_greedy:
            return ids
        self._cumulate(scores, highest, self._scale, self._min_p)
        drawn = (scores <= uniforms[:, None] * scores[:, -1:]).sum(1)
        return np.where(self._batch.greedy, ids, drawn)

    def _drawn_one(self, scores: Floats, uniforms: Floats) -> Ids:
        """The same of one stream, in the fewest calls of NumPy: its speed rests on them."""
        (row,) = scores
        id_ = row.argmax()
        highest = row[id_]
        if not -np.inf < highest < np.inf:
            raise non_finite_scores()
        if not self._all_greedy:
            scale = None if self._scale is None else self._scale[0]
            min_p = None if self._min_p is None else self._min_p[0]
            self._cumulate(row, highest, scale, min_p)
            id_ = row.searchsorted(uniforms.item() * row[-1], "right")
        return np.array([id_])

    def _cumulate(
        self, scores: Floats, highest: Any, scale: Floats | None, min_p: Floats | None
    ) -> None:
        """Turn scores (V,), or (N, V), into cumulated probabilities, not normalized."""
        order = likeliest_first(scores) if self._batch.ranks else None
        np.subtract(scores, highest, scores)
        if scale is not None:
            np.multiply(scores, scale, scores)
        np.exp(scores, scores)
        if order is not None:
            ranked: Any = order if scores.ndim == 1 else (self._rows, order)
            scores[ranked] = top_k_and_p(np.atleast_2d(scores[ranked]), self._top_k, self._top_p)
        if min_p is not None:  # of the likeliest, whose weight is 1 (arXiv 2407.01082)
            np.multiply(scores, scores >= min_p, scores)
        np.add.accumulate(scores, -1, None, scores)
