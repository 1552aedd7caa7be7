"""The weights of a mixture against a search, and its loss on text it was not fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.counts.fitting import PARTS, compute_loss, fit_weights
from charrnn.counts.mixing import Places, Weights

PRIOR = (0.6, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4, 0.4, 0, 0, 0, 0)


def two_models(n, size=7):
    """Make logits of a model that is too sure, and ln p of one that knows less or more.

    Returns:
        network, places, targets.
    """
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(n, size)) * 2
    p = np.exp(truth) / np.exp(truth).sum(-1, keepdims=True)
    targets = np.array([rng.choice(size, p=row) for row in p], np.int64)
    depths, is_inside = rng.integers(0, 5, n) / 4, rng.random(n) < 0.6
    network = (1.7 * (truth + rng.normal(size=truth.shape))).astype(np.float32)
    counts = truth + (2.5 - 2 * depths[:, None]) * rng.normal(size=truth.shape)
    scores = np.zeros((n, 3, size), np.float32)
    scores[:, 0] = counts - np.log(np.exp(counts).sum(-1, keepdims=True))
    for known in (1, 2):  # words and pairs, which are right half of the time
        ids = np.where(rng.random(n) < 0.5, targets, rng.integers(0, size, n))
        scores[np.arange(n), known, ids] = (is_inside | (known == 2)) * rng.random(n) * 3
    is_single, nowhere = rng.random((n, 2)) < 0.3, np.zeros(n)
    places = Places(scores, depths, is_inside, is_single, nowhere, nowhere, nowhere > 0)
    return network, places, targets


def loss(network, places, targets, weights):
    """Compute by the definition, in float64."""
    place, d = 2 * places.is_inside, places.depths
    a, b = ((1 - d) * each[place] + d * each[place + 1] for each in map(np.array, weights[:2]))
    logs = a[:, None] * network.astype(np.float64) + b[:, None] * places.scores[:, 0]
    for known in (0, 1):
        factors = np.array(weights[2 + known])[places.is_single[:, known].astype(int)]
        logs += factors[:, None] * places.scores[:, 1 + known]
    logs -= np.log(np.exp(logs).sum(-1, keepdims=True))
    return -logs[np.arange(len(targets)), targets].mean()


@pytest.mark.parametrize("parts", PARTS)
def test_no_other_weights_are_better(parts):
    models = two_models(20_000)
    fit = fit_weights(*models, parts)
    best = loss(*models, fit.weights)
    assert compute_loss(*models, fit.weights) == pytest.approx(best, abs=1e-5)
    vector, columns = fit.weights.to_vector(), np.zeros((12, PARTS[parts].shape[1]))
    columns[: len(PARTS[parts])] = PARTS[parts]
    for step in columns.T:
        for away in (vector + 0.25 * step, np.maximum(vector - 0.25 * step, 0)):
            assert loss(*models, Weights.from_vector(away)) > best - 1e-6
    # what knows more has more of a say
    assert fit.weights.counts[1] > fit.weights.counts[0] + 0.1
    if parts == "counts":
        network, places, targets = models
        few, none = (
            fit_weights(
                network[:n], places.select(np.arange(n)), targets[:n], parts
            ).weights.to_vector()
            for n in (50, 0)
        )
        assert np.abs(few - PRIOR).max() < np.abs(vector - PRIOR).max()
        np.testing.assert_allclose(none, PRIOR)


def test_the_loss_of_a_fit_is_that_of_the_halves_that_it_did_not_see():
    network, places, targets = two_models(300)
    fit, expected = fit_weights(network, places, targets), 0.0
    halves = [
        (network[rows], places.select(rows), targets[rows]) for rows in np.split(np.arange(300), 2)
    ]
    for half, other in (halves, halves[::-1]):
        # a fit of a half twice over has the weights of that half, but for half of the prior
        expected += loss(*other, fit_weights(*half).weights) / 2
        assert fit.loss > loss(network, places, targets, fit.weights)
    assert fit.loss == pytest.approx(expected, abs=2e-3)
