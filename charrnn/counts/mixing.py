"""The probabilities of a network and of counts, mixed: ln p is a ln p_network + b ln p_counts + c.

c makes each distribution sum to 1. The two weights minimize the loss of a held-out text, on which
neither model was trained: a convex problem. Such a mix is a product of experts (Hinton 2002): what
one of them rules out does not come. On tiny-shakespeare it is better than a mean of probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import CountTable

Floats = npt.NDArray[np.floating[Any]]


class Weights(NamedTuple):
    """What the logarithms of the two probabilities are multiplied by."""

    network: float
    counts: float


ALONE = Weights(0.0, 1.0)


@dataclass(frozen=True)
class Counts:
    """What a model has beside its network: the counts of its training text, and their weight."""

    table: CountTable
    weights: Weights

    @property
    def only(self) -> Counts:
        """The same counts, with no say for the network."""
        return replace(self, weights=ALONE)

    def same_table(self, other: Counts) -> bool:
        """Whether these are counts of the same text."""
        ours, theirs = self.table.arrays(), other.table.arrays()
        return self.table.context == other.table.context and all(
            np.array_equal(ours[name], theirs[name]) for name in ours
        )


# What most texts come out near, and how many characters of a held-out text it is worth
PRIOR = Weights(0.6, 0.4)
PRIOR_CHARACTERS = 1000
# Nats by which nearly one model alone has to be better: what chance does in a hundred characters.
_DOUBT = 5.0
_STARTS = (PRIOR, Weights(0.9, 0.1), Weights(0.1, 0.9))
_STEPS = 20
_CLOSE = 1e-4
_AT_ONCE = 1 << 20  # numbers


def mixed(network: Floats, counts: Floats, weights: Weights) -> Floats:
    """ln p (..., V) of the mix.

    Args:
        network: logits (..., V), or ln p.
        counts: ln p (..., V).
    """
    scores = np.float32(weights.network) * network + np.float32(weights.counts) * counts
    scores -= scores.max(-1, keepdims=True)
    normalized: Floats = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return normalized


def fit_weights(network: Floats, counts: Floats, targets: npt.NDArray[Any]) -> Weights:
    """The weights with which a held-out text has the lowest loss, by Newton's method.

    `PRIOR`, or weights near one of the two models alone if they are clearly better, count as
    much as `PRIOR_CHARACTERS` further characters for which they are the best. So the mix is
    hardly worse on this text than the better of the two.

    Args:
        network: logits (n, V), or ln p.
        counts: ln p (n, V).
        targets: (n,), the characters that came.
    """
    if not len(targets):
        return PRIOR
    starts = {w: _derivatives(network, counts, targets, np.array(w)) for w in _STARTS}
    best = min(starts, key=lambda w: starts[w][0] + _DOUBT * (w != PRIOR))
    weights = start = np.array(best)
    curvature = starts[best][2]
    prior = curvature * PRIOR_CHARACTERS / len(targets)

    def objective(weights: npt.NDArray[np.float64]) -> tuple[float, Any, Any]:
        loss, gradient, curvature = _derivatives(network, counts, targets, weights)
        away = weights - start
        return (
            loss + 0.5 * float(away @ prior @ away),
            gradient + prior @ away,
            curvature + prior,
        )

    loss, gradient, curvature = objective(weights)
    for _ in range(_STEPS):
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        if np.abs(step).max() < _CLOSE:
            break
        # a weight below 0 would mean that the model knows what will not come
        tried = np.maximum(weights - step, 0)
        after = objective(tried)
        while after[0] > loss and np.abs(step).max() >= _CLOSE:
            step = step / 2
            tried = np.maximum(weights - step, 0)
            after = objective(tried)
        weights, (loss, gradient, curvature) = tried, after
    return Weights(*weights.tolist())


def _derivatives(
    network: Floats, counts: Floats, targets: npt.NDArray[Any], weights: npt.NDArray[np.float64]
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The summed loss, its gradient (2,) and its second derivatives (2, 2)."""
    loss, gradient, curvature = 0.0, np.zeros(2), np.zeros((2, 2))
    rows = max(1, _AT_ONCE // network.shape[1])
    for first in range(0, len(targets), rows):
        part = slice(first, first + rows)
        a, b, y = network[part], counts[part], targets[part]
        log_p = mixed(a, b, Weights(*weights))
        p = np.exp(log_p)
        at = np.arange(len(y))
        loss -= float(log_p[at, y].sum(dtype=np.float64))
        mean_a, mean_b = (p * a).sum(1), (p * b).sum(1)
        gradient += (
            (mean_a - a[at, y]).sum(dtype=np.float64),
            (mean_b - b[at, y]).sum(dtype=np.float64),
        )
        aa = ((p * a * a).sum(1) - mean_a**2).sum(dtype=np.float64)
        ab = ((p * a * b).sum(1) - mean_a * mean_b).sum(dtype=np.float64)
        bb = ((p * b * b).sum(1) - mean_b**2).sum(dtype=np.float64)
        curvature += [[aa, ab], [ab, bb]]
    return loss, gradient, curvature
