"""Fit the counts to a held-out text: the weights of the mixture, and the length of the contexts.

The loss is convex in the weights. A quadratic penalty pulls them to typical weights, so that on a
short text the mixture is hardly worse than the better of its parts.

The loss of fitted weights on the text of the fit is too low. So it is measured with weights that
were fitted to the other half of the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import COUNTS_ONLY, Counts, Floats, Places, Weights
from charrnn.counts.pairs import PairTable
from charrnn.counts.table import CountTable
from charrnn.counts.tries import Ids
from charrnn.counts.words import WordTable

PRIOR = np.array([0.6] * 4 + [0.4] * 4 + [0.2] * 2 + [0.4] * 2)  # typical weights
PENALTY = 30.0  # nats, of a weight that differs by 1 from its typical value, times 2
MAX_FITTED = 1 << 20  # logits; a fit takes 0.2 seconds of a processor
MIN_FITTED = 2000  # places
# A table of counts with twice as many nodes must save this many nats per character. The other parts
# of a model file take as much as `OTHER_NODES`.
PRICE, OTHER_NODES = 0.004, 100_000
# The parts of a mixture, and for each the weights (12,) as products with fewer numbers; all others
# are 0. Without words, the weights are the same inside and between words.
PARTS: dict[str, npt.NDArray[Any]] = {
    "counts": np.eye(12)[:, :8] @ np.kron(np.eye(2), np.tile(np.eye(2), (2, 1))),
    "words": np.eye(12)[:, :10],
    "pairs": np.eye(12),
}
_STEPS = 20
_TOLERANCE = 1e-4
_LOGITS_AT_ONCE = 1 << 17

Vector = npt.NDArray[np.float64]


class Fit(NamedTuple):
    """Fitted weights, and the loss in nats per character with the weights of the other half."""

    weights: Weights
    loss: float


class _Samples(NamedTuple):
    """Some places of a text: the scores of the experts, and the shares of the fitted weights."""

    scores: Floats  # (n, 4, V)
    features: npt.NDArray[np.float32]  # (n, 4, W)
    targets: Ids  # (n,)


def fit_weights(network_logits: Floats, places: Places, targets: Ids, parts: str = "pairs") -> Fit:
    """Fit the weights with which a text has the lowest loss, by Newton's method.

    Args:
        network_logits: (P, V).
        places: what the counts know of the text's places.
        targets: (P,), the next characters.
        parts: a key of `PARTS`. All other weights are 0.
    """
    columns = PARTS[parts]
    prior = np.linalg.lstsq(columns, PRIOR, rcond=None)[0]
    most = max(MIN_FITTED, MAX_FITTED // network_logits.shape[1])
    rows = np.flatnonzero(places.run_odds == 0)
    rows, middle = rows[:: 1 + len(rows) // most], len(targets) // 2
    sampled = places.select(rows)
    scores = np.concatenate([network_logits[rows, None], sampled.scores], 1).astype(np.float32)
    features = sampled.compute_features() @ columns.astype(np.float32)

    def fit(part: slice) -> Weights:
        samples = _Samples(scores[part], features[part], targets[rows][part])
        return Weights.from_vector(columns @ _minimize(samples, prior))

    cut, total = int(np.searchsorted(rows, middle)), 0.0
    for half, other in ((slice(middle), slice(cut, None)), (slice(middle, None), slice(cut))):
        part = network_logits[half], places.select(half), targets[half]
        total += compute_loss(*part, fit(other)) * len(targets[half])
    return Fit(fit(slice(None)), total / max(1, len(targets)))


def select_weights(weights: Weights, parts: str) -> Weights:
    """Return the weights of some parts (a key of `PARTS`); all others are 0."""
    return Weights.from_vector(np.where(PARTS[parts].any(1), weights.to_vector(), 0))


def compute_loss(
    network_logits: Floats | None,
    places: Places | None,
    targets: Ids,
    weights: Weights = COUNTS_ONLY,
) -> float:
    """Return the loss of a mixture in nats per character; without places, the network's."""
    of_all: Any = network_logits if places is None else places.scores
    n, total, size = len(targets), 0.0, max(1, _LOGITS_AT_ONCE // of_all.shape[-1])
    for first in range(0, n, size):
        part = slice(first, first + size)
        logits: Any = None if network_logits is None else network_logits[part].astype(np.float32)
        if places is not None:
            logits = places.select(part).mix(weights, logits)
        highest = logits.max(-1)
        sums = np.exp(logits - highest[:, None]).sum(-1)
        losses = np.log(sums) + highest - logits[np.arange(len(logits)), targets[part]]
        total += float(losses.sum(dtype=np.float64))
    return total / max(1, n)


def choose_table(
    tables: Iterable[CountTable], words: WordTable | None, pairs: PairTable | None, held_out: Ids
) -> CountTable:
    """Return the table with which counts, words and pairs best predict a held-out text (n,).

    A larger table is chosen if it lowers the loss by more than its price.
    """

    def compute_cost(table: CountTable) -> float:
        counts = Counts(table, None, words, pairs, COUNTS_ONLY)
        states = counts.find_states(held_out[None, :-1], counts.zero_state(1))
        loss = compute_loss(None, counts.observe(states), held_out[1:].astype(np.int64))
        return loss + PRICE * float(np.log2(len(table.characters) + OTHER_NODES))

    return min(tables, key=compute_cost)


def _minimize(samples: _Samples, prior: Vector) -> Vector:
    """Return the weights with the lowest sum of loss and penalty."""
    weights, (loss, gradient, hessian) = prior, _derive(samples, prior, prior)
    for _ in range(_STEPS):
        # A weight stays at 0 if it would become negative, which would invert an expert's ranking.
        free = (weights > 0) | (gradient < 0)
        step, new_loss = np.zeros(len(weights)), np.inf
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        while new_loss > loss and np.abs(step).max() >= _TOLERANCE:
            new_weights = np.maximum(weights - step, 0)
            new_loss, *others = _derive(samples, new_weights, prior)
            step = step / 2
        if new_loss > loss:
            break
        weights, loss, (gradient, hessian) = new_weights, new_loss, others
    return weights


def _derive(
    samples: _Samples, weights: Vector, prior: Vector
) -> tuple[float, Vector, npt.NDArray[np.float64]]:
    """Return the loss with the penalty, its gradient (W,) and second derivatives (W, W)."""
    scores, features, targets = samples
    n, offset = np.arange(len(targets)), weights - prior
    p: Floats = ((features @ weights.astype(np.float32))[:, None] @ scores)[:, 0]
    p -= p.max(-1, keepdims=True)
    of_targets = p[n, targets]
    np.exp(p, p)
    sums = p.sum(-1, keepdims=True)
    p /= sums
    weighted = scores * p[:, None]
    means = weighted.sum(-1)
    covariances = weighted @ scores.swapaxes(1, 2) - means[:, :, None] * means[:, None]
    loss = float((np.log(sums[:, 0]) - of_targets).sum(dtype=np.float64))
    gradient = np.einsum("nk,nkw->w", means - scores[n, :, targets], features)
    flat = features.reshape(-1, len(weights))
    hessian = flat.T @ (covariances @ features).reshape(-1, len(weights))
    return (
        loss + PENALTY / 2 * float(offset @ offset),
        gradient + PENALTY * offset,
        hessian + PENALTY * np.eye(len(weights)),
    )
