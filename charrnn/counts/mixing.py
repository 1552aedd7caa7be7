"""The probabilities of a network and of counts, mixed: ln p is a ln p_network + b ln p_counts + c.

c makes each distribution sum to 1. Such a mix is a product of experts (Hinton 2002): what one of
them rules out does not come. On tiny-shakespeare it is better than a mean of probabilities.

How much the counts know shows in the longest context that they have of what stands before: a and b
change evenly with its length, so that they are four numbers. These minimize the loss of a held-out
text, on which neither model was trained: a convex problem. On tiny-shakespeare this is 0.005 nats
better than an a and a b that are the same everywhere.

In a run of one character (`CountTable.runs`) the network is alone: contexts of K characters cannot
tell the indentation of a line from a page of blanks, and the mix wrote such pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import CountTable

Floats = npt.NDArray[np.floating[Any]]


class Weights(NamedTuple):
    """What the logarithms of the two probabilities are multiplied by.

    Attributes:
        network, counts: where the counts know nothing of what stands before, and where they know
            K characters of it.
    """

    network: tuple[float, float]
    counts: tuple[float, float]

    @classmethod
    def constant(cls, network: float, counts: float) -> Weights:
        """The same after every context."""
        return cls((network, network), (counts, counts))

    @classmethod
    def of(cls, numbers: npt.NDArray[np.float64]) -> Weights:
        """Those of an array (2, 2)."""
        (a, b), (c, d) = numbers.tolist()
        return cls((a, b), (c, d))


COUNTS_ONLY = Weights.constant(0.0, 1.0)


@dataclass(frozen=True)
class Counts:
    """What a model has beside its network: the counts of its training text, and their weight."""

    table: CountTable
    weights: Weights

    @property
    def only(self) -> Counts:
        """The same counts, with no say for the network."""
        return replace(self, weights=COUNTS_ONLY)

    @property
    def needs_network(self) -> bool:
        """Whether the network has a say at all."""
        return any(self.weights.network)

    @cached_property
    def by_length(self) -> npt.NDArray[np.float32]:
        """(K + 2, 2), the weights of network and counts by `CountTable.lengths`."""
        weights = _weights_at(np.linspace(0, 1, self.table.context + 1), np.array(self.weights))
        in_run = np.array([[1, 0]] if self.needs_network else [[0, 1]], np.float32)
        return np.concatenate([weights, in_run])

    def same_table(self, other: Counts) -> bool:
        """Whether these are counts of the same text."""
        ours, theirs = self.table.arrays(), other.table.arrays()
        return self.table.context == other.table.context and all(
            np.array_equal(ours[name], theirs[name]) for name in ours
        )


# What most texts come out near, and how many characters of a held-out text it is worth
PRIOR = Weights.constant(0.6, 0.4)
PRIOR_CHARACTERS = 1000
# Nats by which nearly one model alone has to be better: what chance does in a hundred characters.
_DOUBT = 5.0
_STARTS = (PRIOR, Weights.constant(0.9, 0.1), Weights.constant(0.1, 0.9))
_STEPS = 20
_CLOSE = 1e-4
_AT_ONCE = 1 << 20  # numbers


def _shares(depths: Floats) -> npt.NDArray[np.float64]:
    """(n, 2), how much of each of a pair of weights counts at depths (n,) from 0 to 1."""
    return np.stack([1 - depths, depths], 1).astype(np.float64)


def _weights_at(depths: Floats, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(n, 2), the weights of network and counts at depths (n,), by the four numbers (2, 2)."""
    return (_shares(depths) @ weights.T).astype(np.float32)


def mixed(network: Floats, counts: Floats, weights: Floats) -> Floats:
    """ln p (..., V) of the mix.

    Args:
        network: logits (..., V), or ln p.
        counts: ln p (..., V).
        weights: (..., 2), of each; see `Counts.by_length`.
    """
    scores: Floats = weights[..., :1] * network + weights[..., 1:] * counts
    scores -= scores.max(-1, keepdims=True)
    normalized: Floats = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return normalized


def fit_weights(
    network: Floats, counts: Floats, targets: npt.NDArray[Any], depths: Floats
) -> Weights:
    """The weights with which a held-out text has the lowest loss, by Newton's method.

    `PRIOR`, or weights near one of the two models alone if they are clearly better, count as
    much as `PRIOR_CHARACTERS` further characters for which they are the best. So the mix is
    hardly worse on this text than the better of the two.

    Args:
        network: logits (n, V), or ln p.
        counts: ln p (n, V).
        targets: (n,), the characters that came.
        depths: (n,), the length of the longest context before each, as a share of K.
    """
    if not len(targets):
        return PRIOR

    def derivatives(weights: npt.NDArray[np.float64]) -> tuple[float, Any, Any]:
        return _derivatives(network, counts, targets, depths, weights)

    starts = {w: derivatives(np.ravel(w)) for w in _STARTS}
    best = min(starts, key=lambda w: starts[w][0] + _DOUBT * (w != PRIOR))
    weights = start = np.ravel(best)
    curvature = starts[best][2]
    prior = curvature * PRIOR_CHARACTERS / len(targets)

    def objective(weights: npt.NDArray[np.float64]) -> tuple[float, Any, Any]:
        loss, gradient, curvature = derivatives(weights)
        away = weights - start
        return (
            loss + 0.5 * float(away @ prior @ away),
            gradient + prior @ away,
            curvature + prior,
        )

    loss, gradient, curvature = objective(weights)
    for _ in range(_STEPS):
        # a weight below 0 would mean that the model knows what will not come
        free = (weights > 0) | (gradient < 0)
        step = np.zeros(len(weights))
        step[free] = np.linalg.lstsq(curvature[np.ix_(free, free)], gradient[free], rcond=None)[0]
        if np.abs(step).max() < _CLOSE:
            break
        tried = np.maximum(weights - step, 0)
        after = objective(tried)
        while after[0] > loss and np.abs(step).max() >= _CLOSE:
            step = step / 2
            tried = np.maximum(weights - step, 0)
            after = objective(tried)
        weights, (loss, gradient, curvature) = tried, after
    return Weights.of(weights.reshape(2, 2))


def _derivatives(
    network: Floats,
    counts: Floats,
    targets: npt.NDArray[Any],
    depths: Floats,
    weights: npt.NDArray[np.float64],
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The summed loss, its gradient (4,) and its second derivatives (4, 4)."""
    loss, gradient, curvature = 0.0, np.zeros((2, 2)), np.zeros((2, 2, 2, 2))
    shares, each = _shares(depths), _weights_at(depths, weights.reshape(2, 2))
    rows = max(1, _AT_ONCE // network.shape[1])
    for first in range(0, len(targets), rows):
        part = slice(first, first + rows)
        a, b, y = network[part], counts[part], targets[part]
        log_p = mixed(a, b, each[part])
        p = np.exp(log_p)
        at = np.arange(len(y))
        loss -= float(log_p[at, y].sum(dtype=np.float64))
        mean_a, mean_b = (p * a).sum(1), (p * b).sum(1)
        own = np.stack([mean_a - a[at, y], mean_b - b[at, y]])
        gradient += own @ shares[part]
        aa = (p * a * a).sum(1) - mean_a**2
        ab = (p * a * b).sum(1) - mean_a * mean_b
        bb = (p * b * b).sum(1) - mean_b**2
        second = np.array([[aa, ab], [ab, bb]], np.float64)
        curvature += np.einsum("ijn,nk,nl->ikjl", second, shares[part], shares[part])
    return loss, gradient.ravel(), curvature.reshape(4, 4)
