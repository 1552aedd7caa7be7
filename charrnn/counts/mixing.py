"""The mixture of network and counts: ln p = a ln p_network + b ln p_counts + c.

c normalizes each distribution. The mixture is a product of experts (Hinton 2002): a character that
either model rules out is never drawn. On tiny-shakespeare it is better than a mean of
probabilities.

The weights a and b depend on the length of the longest known context, because the counts know more
after a longer context. They change linearly with the length, so they are four numbers, which
minimize the loss of a held-out text. This is a convex problem. On tiny-shakespeare the loss is
0.005 nats lower than with constant weights.

In a run of one character (`CountTable.runs`) only the network predicts. Contexts of K characters
cannot distinguish the indentation of a line from a blank page, and the mixture wrote blank pages.
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
    """The factors of the two models' log-probabilities.

    Attributes:
        network, counts: the factors after an unknown context, and after a known context of K
            characters.
    """

    network: tuple[float, float]
    counts: tuple[float, float]

    @classmethod
    def constant(cls, network: float, counts: float) -> Weights:
        """Return weights that are the same after each context."""
        return cls((network, network), (counts, counts))

    @classmethod
    def from_array(cls, array: npt.NDArray[np.float64]) -> Weights:
        """Return the weights in an array (2, 2)."""
        (a, b), (c, d) = array.tolist()
        return cls((a, b), (c, d))


COUNTS_ONLY = Weights.constant(0.0, 1.0)


@dataclass(frozen=True)
class Counts:
    """The counts of a model's training text, and the weights of the mixture."""

    table: CountTable
    weights: Weights

    @property
    def only(self) -> Counts:
        """The same counts without the network."""
        return replace(self, weights=COUNTS_ONLY)

    @property
    def needs_network(self) -> bool:
        """Whether the network has a weight above 0."""
        return any(self.weights.network)

    @cached_property
    def by_length(self) -> npt.NDArray[np.float32]:
        """The weights (K + 2, 2) of network and counts by `CountTable.measure_contexts`."""
        depths = np.linspace(0, 1, self.table.context + 1)
        weights = _interpolate_weights(depths, np.array(self.weights))
        in_run = np.array([[1, 0]] if self.needs_network else [[0, 1]], np.float32)
        return np.concatenate([weights, in_run])

    def has_same_table(self, other: Counts) -> bool:
        """Return whether both are counts of the same text."""
        arrays, others = self.table.to_arrays(), other.table.to_arrays()
        return self.table.context == other.table.context and all(
            np.array_equal(arrays[name], others[name]) for name in arrays
        )


# The typical weights of a text. As evidence they are worth this many held-out characters.
PRIOR = Weights.constant(0.6, 0.4)
PRIOR_CHARACTERS = 1000
# Another start must be better by this many nats, a random difference within 100 characters.
_MIN_GAIN = 5.0
_STARTS = (PRIOR, Weights.constant(0.9, 0.1), Weights.constant(0.1, 0.9))
_STEPS = 20
_TOLERANCE = 1e-4
_LOGITS_AT_ONCE = 1 << 20


def _compute_shares(depths: Floats) -> npt.NDArray[np.float64]:
    """Return the shares (n, 2) of a pair of weights at depths (n,) from 0 to 1."""
    return np.stack([1 - depths, depths], 1).astype(np.float64)


def _interpolate_weights(
    depths: Floats, weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Return the weights (n, 2) of network and counts at depths (n,), from `Weights` (2, 2)."""
    return (_compute_shares(depths) @ weights.T).astype(np.float32)


def mix_log_probs(network_logits: Floats, counts_log_probs: Floats, weights: Floats) -> Floats:
    """Return the log-probabilities (..., V) of the mixture.

    Args:
        network_logits, counts_log_probs: (..., V).
        weights: (..., 2), of network and counts; see `Counts.by_length`.
    """
    logits: Floats = weights[..., :1] * network_logits + weights[..., 1:] * counts_log_probs
    logits -= logits.max(-1, keepdims=True)
    log_probs: Floats = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return log_probs


def fit_weights(
    network_logits: Floats, counts_log_probs: Floats, targets: npt.NDArray[Any], depths: Floats
) -> Weights:
    """Return the weights with which a held-out text has the lowest loss, by Newton's method.

    A quadratic penalty pulls the weights to `PRIOR`, or to nearly one of the models if that is
    clearly better, like `PRIOR_CHARACTERS` more characters would. So the mixture is hardly worse
    on this text than the better model.

    Args:
        network_logits, counts_log_probs: (n, V).
        targets: (n,), the next characters.
        depths: (n,), the length of the longest known context before each, divided by K.
    """
    if not len(targets):
        return PRIOR

    def derive(weights: npt.NDArray[np.float64]) -> tuple[float, Any, Any]:
        return _compute_derivatives(network_logits, counts_log_probs, targets, depths, weights)

    starts = {w: derive(np.ravel(w)) for w in _STARTS}
    best = min(starts, key=lambda w: starts[w][0] + _MIN_GAIN * (w != PRIOR))
    weights = start = np.ravel(best)
    prior = starts[best][2] * PRIOR_CHARACTERS / len(targets)

    def derive_with_prior(weights: npt.NDArray[np.float64]) -> tuple[float, Any, Any]:
        loss, gradient, hessian = derive(weights)
        offset = weights - start
        penalty = 0.5 * float(offset @ prior @ offset)
        return loss + penalty, gradient + prior @ offset, hessian + prior

    loss, gradient, hessian = derive_with_prior(weights)
    for _ in range(_STEPS):
        # A weight stays at 0 if it would become negative, which would invert a model's ranking.
        free = (weights > 0) | (gradient < 0)
        step = np.zeros(len(weights))
        step[free] = np.linalg.lstsq(hessian[np.ix_(free, free)], gradient[free], rcond=None)[0]
        if np.abs(step).max() < _TOLERANCE:
            break
        new_weights = np.maximum(weights - step, 0)
        derivatives = derive_with_prior(new_weights)
        while derivatives[0] > loss and np.abs(step).max() >= _TOLERANCE:
            step = step / 2
            new_weights = np.maximum(weights - step, 0)
            derivatives = derive_with_prior(new_weights)
        weights, (loss, gradient, hessian) = new_weights, derivatives
    return Weights.from_array(weights.reshape(2, 2))


def _compute_derivatives(
    network_logits: Floats,
    counts_log_probs: Floats,
    targets: npt.NDArray[Any],
    depths: Floats,
    weights: npt.NDArray[np.float64],
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the summed loss, its gradient (4,) and its second derivatives (4, 4)."""
    loss, gradient, hessian = 0.0, np.zeros((2, 2)), np.zeros((2, 2, 2, 2))
    shares = _compute_shares(depths)
    row_weights = _interpolate_weights(depths, weights.reshape(2, 2))
    num_rows = max(1, _LOGITS_AT_ONCE // network_logits.shape[1])
    for first in range(0, len(targets), num_rows):
        rows = slice(first, first + num_rows)
        a, b, y = network_logits[rows], counts_log_probs[rows], targets[rows]
        log_p = mix_log_probs(a, b, row_weights[rows])
        p, n = np.exp(log_p), np.arange(len(y))
        loss -= float(log_p[n, y].sum(dtype=np.float64))
        mean_a, mean_b = (p * a).sum(1), (p * b).sum(1)
        gradient += np.stack([mean_a - a[n, y], mean_b - b[n, y]]) @ shares[rows]
        var_a = (p * a * a).sum(1) - mean_a**2
        cov_ab = (p * a * b).sum(1) - mean_a * mean_b
        var_b = (p * b * b).sum(1) - mean_b**2
        covariance = np.array([[var_a, cov_ab], [cov_ab, var_b]], np.float64)
        hessian += np.einsum("ijn,nk,nl->ikjl", covariance, shares[rows], shares[rows])
    return loss, gradient.ravel(), hessian.reshape(4, 4)
