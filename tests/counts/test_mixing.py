"""The weights of a mix against a search, and the mix against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.counts import PRIOR, Weights, fit_weights, mixed
from charrnn.counts.mixing import PRIOR_CHARACTERS

RNG = np.random.default_rng(3)


def two_models(n, size=7):
    """Logits of a model that is too sure of itself, ln p of one that knows less, and the truth."""
    truth = RNG.normal(size=(n, size)) * 2
    p = np.exp(truth) / np.exp(truth).sum(-1, keepdims=True)
    targets = np.array([RNG.choice(size, p=row) for row in p])
    network = (1.7 * (truth + RNG.normal(size=truth.shape))).astype(np.float32)
    counts = truth + 1.5 * RNG.normal(size=truth.shape)
    counts -= np.log(np.exp(counts).sum(-1, keepdims=True))
    return network, counts.astype(np.float32), targets


def loss(network, counts, targets, weights):
    scores = weights[0] * network.astype(np.float64) + weights[1] * counts.astype(np.float64)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return -scores[np.arange(len(targets)), targets].mean()


def test_mixed_is_normalized_and_in_the_ratio_of_the_powers():
    network, counts, _ = two_models(50)
    log_p = mixed(network, counts, Weights(0.5, 0.3))
    assert np.exp(log_p).sum(-1) == pytest.approx(1, abs=1e-5)
    ratio = log_p[:, 1] - log_p[:, 0]
    expected = 0.5 * (network[:, 1] - network[:, 0]) + 0.3 * (counts[:, 1] - counts[:, 0])
    np.testing.assert_allclose(ratio, expected, atol=1e-5)


def test_no_other_weights_are_better():
    network, counts, targets = two_models(20_000)
    fitted = fit_weights(network, counts, targets)
    best = loss(network, counts, targets, fitted)
    for away in ((0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05), (0.03, -0.03)):
        assert loss(network, counts, targets, np.add(fitted, away)) > best
    assert best < loss(network, counts, targets, (1, 0))
    assert best < loss(network, counts, targets, PRIOR)


def test_few_characters_change_the_weights_little():
    network, counts, targets = two_models(20_000)
    many = np.array(fit_weights(network, counts, targets))
    few = np.array(fit_weights(network[:200], counts[:200], targets[:200]))
    assert np.abs(few - PRIOR).max() < np.abs(many - PRIOR).max()
    assert PRIOR_CHARACTERS == 1000
    assert fit_weights(network[:0], counts[:0], targets[:0]) == PRIOR


def test_a_model_that_knows_nothing_has_no_say():
    network, counts, targets = two_models(20_000)
    noise = RNG.normal(size=counts.shape).astype(np.float32) * 3
    fitted = fit_weights(network, noise, targets)
    assert fitted.counts == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("n", [5, 50, 500])
def test_not_worse_than_the_better_of_the_two(n):
    """A network that has hardly begun, counts of another text, and neither: but for 5 nats."""
    for spoilt in range(3):
        network, counts, targets = two_models(n)
        if spoilt == 0:
            network = 3 * RNG.normal(size=network.shape).astype(np.float32)
        if spoilt == 1:
            counts = RNG.normal(size=counts.shape).astype(np.float32) * 3
            counts -= np.log(np.exp(counts).sum(-1, keepdims=True))
        fitted = fit_weights(network, counts, targets)
        alone = (loss(network, counts, targets, w) for w in ((1, 0), (0, 1)))
        assert loss(network, counts, targets, fitted) <= min(alone) + 5 / n + 1e-6
