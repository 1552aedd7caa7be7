"""The weights of a mix against a search, and the mix against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.counts.mixing import PRIOR, Weights, fit_weights, mix_log_probs

RNG = np.random.default_rng(3)


def two_models(n, size=7):
    """Logits of a model that is too sure of itself, and ln p of one that knows less or more.

    Returns:
        network, counts, targets, and how much the second knows, from 0 to 1.
    """
    truth = RNG.normal(size=(n, size)) * 2
    p = np.exp(truth) / np.exp(truth).sum(-1, keepdims=True)
    targets = np.array([RNG.choice(size, p=row) for row in p])
    depths = RNG.integers(0, 5, n) / 4
    network = (1.7 * (truth + RNG.normal(size=truth.shape))).astype(np.float32)
    counts = truth + (2.5 - 2 * depths[:, None]) * RNG.normal(size=truth.shape)
    counts -= np.log(np.exp(counts).sum(-1, keepdims=True))
    return network, counts.astype(np.float32), targets, depths


def loss(network, counts, targets, depths, weights):
    """`weights` (2, 2): of network and counts, at depth 0 and 1."""
    a, b = (first + (last - first) * depths[:, None] for first, last in weights)
    scores = a * network.astype(np.float64) + b * counts.astype(np.float64)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return -scores[np.arange(len(targets)), targets].mean()


def test_a_mixture_is_normalized_and_in_the_ratio_of_the_powers():
    network, counts, _, depths = two_models(50)
    weights = np.stack([0.2 + 0.3 * depths, 0.3 - 0.1 * depths], 1)
    log_p = mix_log_probs(network, counts, weights)
    assert np.exp(log_p).sum(-1) == pytest.approx(1, abs=1e-5)
    ratio = log_p[:, 1] - log_p[:, 0]
    expected = weights[:, 0] * (network[:, 1] - network[:, 0])
    expected += weights[:, 1] * (counts[:, 1] - counts[:, 0])
    np.testing.assert_allclose(ratio, expected, atol=1e-5)


def test_no_other_weights_are_better():
    models = two_models(20_000)
    fitted = fit_weights(*models)
    best = loss(*models, fitted)
    for at in np.ndindex(2, 2):
        for step in (0.06, -0.06):
            away = np.array(fitted)
            away[at] += step
            assert loss(*models, away) > best
    # what knows more has more of a say
    assert fitted.counts[1] > fitted.counts[0] + 0.1
    many = np.array(fitted)
    few = np.array(fit_weights(*(each[:200] for each in models)))
    assert np.abs(few - PRIOR).max() < np.abs(many - PRIOR).max()
    assert fit_weights(*(each[:0] for each in models)) == PRIOR


def test_a_model_that_knows_nothing_has_no_say():
    network, counts, targets, depths = two_models(20_000)
    noise = RNG.normal(size=counts.shape).astype(np.float32) * 3
    fitted = fit_weights(network, noise, targets, depths)
    assert fitted.counts == pytest.approx((0, 0), abs=0.03)
    assert min(fitted.counts) >= 0


@pytest.mark.parametrize("n", [5, 50, 500])
def test_not_worse_than_the_better_of_the_two(n):
    """A network that has hardly begun, counts of another text, and neither: but for 5 nats."""
    for spoilt in range(3):
        network, counts, targets, depths = two_models(n)
        if spoilt == 0:
            network = 3 * RNG.normal(size=network.shape).astype(np.float32)
        if spoilt == 1:
            counts = RNG.normal(size=counts.shape).astype(np.float32) * 3
            counts -= np.log(np.exp(counts).sum(-1, keepdims=True))
        models = network, counts, targets, depths
        fitted = fit_weights(*models)
        alone = (loss(*models, Weights.constant(*w)) for w in ((1, 0), (0, 1)))
        assert loss(*models, fitted) <= min(alone) + 5 / n + 1e-6
