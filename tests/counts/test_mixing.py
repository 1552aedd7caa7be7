"""The weights of a mixture against a search, its loss on text it was not fitted to, its states."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.counts.fitting import compute_loss, fit_weights
from charrnn.counts.mixing import COUNTS_ONLY, CountState, Places, Weights, compute_features
from charrnn.counts.recent import RecentContexts
from charrnn.counts.run_lengths import RunOdds
from charrnn.counts.words import WordScores
from tests.generation.models import TEXT, WEIGHTS, make_counted_model

RNG = np.random.default_rng(3)
PRIOR = (0.6, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4, 0.4, 0, 0)


def two_models(n, size=7, words=False):
    """Make logits of a model that is too sure, and ln p of one that knows less or more.

    Returns:
        network, places, targets.
    """
    truth = RNG.normal(size=(n, size)) * 2
    p = np.exp(truth) / np.exp(truth).sum(-1, keepdims=True)
    targets = np.array([RNG.choice(size, p=row) for row in p], np.int64)
    depths, is_inside = RNG.integers(0, 5, n) / 4, RNG.random(n) < 0.6
    network = (1.7 * (truth + RNG.normal(size=truth.shape))).astype(np.float32)
    counts = truth + (2.5 - 2 * depths[:, None]) * RNG.normal(size=truth.shape)
    counts -= np.log(np.exp(counts).sum(-1, keepdims=True))
    rows, no_ids = np.flatnonzero(is_inside), np.zeros(0, np.int64)
    ids = np.where(RNG.random(len(rows)) < 0.5, targets[rows], RNG.integers(0, size, len(rows)))
    scores = WordScores(rows, ids, RNG.random(len(rows)) * 3, RNG.random(len(rows)) < 0.3)
    features = compute_features(depths, is_inside)
    runs = RunOdds(no_ids, no_ids, np.zeros(0, np.float32), np.zeros(0, bool))
    places = Places(counts.astype(np.float32), features, scores if words else None, runs)
    return network, places, targets


def loss(network, places, targets, weights):
    """Compute by the definition, in float64."""
    a, b = (places.features @ np.array(each) for each in weights[:2])
    scores = a[:, None] * network.astype(np.float64) + b[:, None] * places.log_probs
    if places.words is not None:
        for row, id_, value, is_single in zip(*places.words, strict=True):
            scores[row, id_] += weights[2][int(is_single)] * value
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return -scores[np.arange(len(targets)), targets].mean()


@pytest.mark.parametrize("words", [False, True])
def test_no_other_weights_are_better(words):
    models = two_models(20_000, words=words)
    fit = fit_weights(*models)
    best = loss(*models, fit.weights)
    assert compute_loss(*models, fit.weights) == pytest.approx(best, abs=1e-5)
    vector = fit.weights.to_vector()
    for n in range(10 if words else 8):
        for step in (0.25, -0.25):
            away = vector.copy()
            away[n] = max(0, away[n] + step)
            assert loss(*models, Weights.from_vector(away)) > best - 1e-6
    # what knows more has more of a say
    assert fit.weights.counts[1] > fit.weights.counts[0] + 0.1
    if not words:
        network, places, targets = models
        few, none = (
            fit_weights(network[:n], places.select(np.arange(n)), targets[:n]).weights.to_vector()
            for n in (50, 0)
        )
        assert np.abs(few - PRIOR).max() < np.abs(vector - PRIOR).max()
        assert none.tolist() == list(PRIOR)


def test_the_loss_of_a_fit_is_that_of_the_halves_that_it_did_not_see():
    network, places, targets = two_models(300, words=True)
    fit, expected = fit_weights(network, places, targets), 0.0
    halves = [
        (network[rows], places.select(rows), targets[rows]) for rows in np.split(np.arange(300), 2)
    ]
    for half, other in (halves, halves[::-1]):
        # a fit of a half twice over has the weights of that half, but for half of the prior
        expected += loss(*other, fit_weights(*half).weights) / 2
        assert fit.loss > loss(network, places, targets, fit.weights)
    assert fit.loss == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("weights", [WEIGHTS, COUNTS_ONLY])
def test_every_way_of_reading_gives_the_same_state_and_prediction(weights):
    """Compare a whole text with its pieces and its characters."""
    model = make_counted_model(weights=weights)
    counts, text = model.counts, model.vocabulary.encode(TEXT + "  " * 20 + "zq Cats ''")
    ids = np.stack([text[-220:-20], text[-200:]])
    network = RNG.normal(size=(*ids.shape, len(model.vocabulary))).astype(np.float32)
    states = counts.find_states(ids, counts.zero_state(2))
    whole = counts.mix(states, network)

    def at(place, streams=slice(None)):
        return CountState(*(field[streams, place] for field in states))

    for first, last in ((0, 1), (1, 3), (3, 3), (3, 120), (120, 200)):
        before = at(first - 1) if first else counts.zero_state(2)
        part = counts.find_states(ids[:, first:last], before)
        for field, expected in zip(part, at(slice(first, last)), strict=True):
            np.testing.assert_array_equal(field, expected)
    recent, state = RecentContexts(counts), counts.zero_state(2)
    for t in range(200):
        state = recent.extend(ids[:, t], state)
        np.testing.assert_allclose(recent.mix(state, network[:, t]), whole[:, t], atol=1e-4)
        for field, expected in zip(state, at(t), strict=True):
            assert field.dtype == expected.dtype == np.int32
            np.testing.assert_array_equal(field, expected)
