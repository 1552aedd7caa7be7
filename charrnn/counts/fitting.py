"""Fit the weights of the mixture of network and counts to a held-out text.

The loss is convex in the weights. A quadratic penalty pulls them to typical weights, like
`PRIOR_CHARACTERS` more characters would. So on a short text the mixture is hardly worse than the
better of its parts.

The loss of fitted weights on the text of the fit is too low. So it is measured with weights that
were fitted to the other half of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial, reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Floats, Places, Weights
from charrnn.counts.table import Ids

PRIOR_CHARACTERS = 1000
MAX_FITTED = 16_384  # places whose derivatives are computed
# The weights of network, counts and words from which a fit can start. The first is the prior.
_STARTS = ((0.6, 0.4, 0.2), (0.9, 0.1, 0.2), (0.1, 0.9, 0.2))
_MIN_GAIN = 5.0  # nats, by which another start must be better; 100 characters can differ by chance
_STEPS = 20
_TOLERANCE = 1e-4
_LOGITS_AT_ONCE = 1 << 17

Vector = npt.NDArray[np.float64]
Derivatives = tuple[float, Vector, npt.NDArray[np.float64]]  # loss, gradient, second derivatives


class Fit(NamedTuple):
    """Fitted weights, and the loss in nats per character with the weights of the other half."""

    weights: Weights
    loss: float


class _Expert(NamedTuple):
    """Scores (n, V), and features (n, F) whose product with F weights is their factor."""

    scores: Floats
    features: npt.NDArray[np.float64]


def fit_weights(network_logits: Floats, places: Places, targets: Ids) -> Fit:
    """Fit the weights with which a text has the lowest loss, by Newton's method.

    Without a word table, four weights are fitted, which are the same inside and between words.

    Args:
        network_logits: (P, V).
        places: what the counts know of the text's places.
        targets: (P,), the next characters.
    """
    usable = np.delete(np.arange(len(targets)), places.runs.rows)[:: 1 + len(targets) // MAX_FITTED]
    middle = len(targets) // 2
    samples = usable[usable < middle], usable[usable >= middle]
    experts = [_make_experts(network_logits, places, rows) for rows in samples]

    @cache  # The fits start from the same weights.
    def derive_half(half: int, *weights: float) -> Derivatives:
        return _compute_derivatives(experts[half], targets[samples[half]], np.array(weights))

    def derive(halves: Sequence[int], weights: Vector) -> Derivatives:
        return reduce(_add, (derive_half(half, *weights) for half in halves))

    sizes = [expert.features.shape[1] for expert in experts[0]]
    starts = [np.repeat(numbers[: len(sizes)], sizes) for numbers in _STARTS]
    first, second, both = (
        _minimize(partial(derive, halves), starts, sum(len(samples[half]) for half in halves))
        for halves in ((0,), (1,), (0, 1))
    )
    rows, total = np.arange(len(targets)), 0.0
    for vector, half in ((second, rows[:middle]), (first, rows[middle:])):
        other_half = network_logits[half], places.select(half), targets[half]
        total += compute_loss(*other_half, _to_weights(vector)) * len(half)
    return Fit(_to_weights(both), total / max(1, len(targets)))


def compute_loss(
    network_logits: Floats, places: Places | None, targets: Ids, weights: Weights | None = None
) -> float:
    """Return the loss of a mixture in nats per character; without places, the network's."""
    n, total, size = len(targets), 0.0, max(1, _LOGITS_AT_ONCE // network_logits.shape[1])
    for first in range(0, n, size):
        part = np.arange(first, min(first + size, n))
        logits = network_logits[part].astype(np.float32)
        if places is not None and weights is not None:
            logits = places.select(part).mix(weights, logits)
        highest = logits.max(-1)
        sums = np.exp(logits - highest[:, None]).sum(-1)
        losses = np.log(sums) + highest - logits[np.arange(len(part)), targets[part]]
        total += float(losses.sum(dtype=np.float64))
    return total / max(1, n)


def _make_experts(network_logits: Floats, places: Places, rows: Ids) -> list[_Expert]:
    """Return the experts at some places (n,): network, counts, and words."""
    places = places.select(rows)
    scores = [array.astype(np.float32) for array in (network_logits[rows], places.log_probs)]
    if places.words is None:
        features = places.features[:, :2] + places.features[:, 2:]
        return [_Expert(each, features) for each in scores]
    word_scores, is_single = np.zeros_like(scores[0]), np.zeros(len(rows), bool)
    of_row, characters, values, single = places.words
    word_scores[of_row, characters], is_single[of_row] = values, single
    of_words = np.stack([~is_single, is_single], 1).astype(np.float64)
    return [*(_Expert(each, places.features) for each in scores), _Expert(word_scores, of_words)]


def _to_weights(vector: Vector) -> Weights:
    """Return the weights of a fit with words (10,) or without (4,)."""
    if len(vector) == 4:
        network, counts = vector.reshape(2, 2)
        vector = np.concatenate([network, network, counts, counts, [0, 0]])
    return Weights.from_vector(vector)


def _add(one: Derivatives, other: Derivatives) -> Derivatives:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _minimize(
    derive: Callable[[Vector], Derivatives], starts: Sequence[Vector], num_places: int
) -> Vector:
    """Return the weights with the lowest sum of loss and penalty.

    Args:
        derive: computes the derivatives of the summed loss of `num_places`.
        starts: weights that the penalty may prefer; the first, if no other is clearly better.
    """
    if not num_places:
        return starts[0]
    at_starts = [derive(start) for start in starts]
    losses = [loss + _MIN_GAIN * (n > 0) for n, (loss, _, _) in enumerate(at_starts)]
    best = int(np.argmin(losses))
    prior = at_starts[best][2] * PRIOR_CHARACTERS / num_places

    def add_penalty(derivatives: Derivatives, weights: Vector) -> Derivatives:
        offset = weights - starts[best]
        return _add(derivatives, (0.5 * float(offset @ prior @ offset), prior @ offset, prior))

    weights = starts[best]
    loss, gradient, hessian = add_penalty(at_starts[best], weights)
    for _ in range(_STEPS):
        # A weight stays at 0 if it would become negative, which would invert an expert's ranking.
        free = (weights > 0) | (gradient < 0)
        step = np.zeros(len(weights))
        step[free] = np.linalg.lstsq(hessian[np.ix_(free, free)], gradient[free], rcond=None)[0]
        new_loss = np.inf
        while new_loss > loss and np.abs(step).max() >= _TOLERANCE:
            new_weights = np.maximum(weights - step, 0)
            new_loss, *others = add_penalty(derive(new_weights), new_weights)
            step = step / 2
        if new_loss > loss:
            break
        weights, loss, (gradient, hessian) = new_weights, new_loss, others
    return weights


def _compute_derivatives(experts: Sequence[_Expert], targets: Ids, weights: Vector) -> Derivatives:
    """Return the summed loss, its gradient (W,) and its second derivatives (W, W)."""
    ends = np.cumsum([expert.features.shape[1] for expert in experts])
    parts = [slice(end - e.features.shape[1], end) for end, e in zip(ends, experts, strict=True)]
    factors = [
        (expert.features @ weights[part]).astype(np.float32)[:, None]
        for expert, part in zip(experts, parts, strict=True)
    ]
    loss, gradient = 0.0, np.zeros(len(weights))
    hessian = np.zeros((len(weights), len(weights)))
    size = max(1, _LOGITS_AT_ONCE // experts[0].scores.shape[1])
    for first in range(0, len(targets), size):
        rows = slice(first, first + size)
        scores, y = [expert.scores[rows] for expert in experts], targets[rows]
        features, n = [expert.features[rows] for expert in experts], np.arange(len(y))
        weighted = [factor[rows] * each for factor, each in zip(factors, scores, strict=True)]
        p: Floats = np.sum(weighted, 0)
        p -= p.max(-1, keepdims=True)
        of_target = p[n, y]
        np.exp(p, p)
        sums = p.sum(-1, keepdims=True)
        loss += float((np.log(sums[:, 0]) - of_target).sum(dtype=np.float64))
        p /= sums
        weighted = [p * each for each in scores]
        means = [each.sum(-1) for each in weighted]
        for a, part in enumerate(parts):
            gradient[part] += (means[a] - scores[a][n, y]) @ features[a]
            for b in range(a + 1):
                covariance = np.einsum("nv,nv->n", weighted[a], scores[b]) - means[a] * means[b]
                block = (features[a] * covariance[:, None]).T @ features[b]
                hessian[part, parts[b]] += block
                if a != b:
                    hessian[parts[b], part] += block.T
    return loss, gradient, hessian
