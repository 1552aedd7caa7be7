"""What is computed of a model and a passage, beside what it must be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from charrnn.extras.inspect import activations, correlation, distance, gates
from charrnn.extras.inspect.passage_report import Passage, report
from charrnn.generation.numpy_layers import KERNELS
from charrnn.generation.weights import fold
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.network import network_of
from tests.extras.inspect.planted import UNIT, planted
from tests.generation.models import CHARACTERS, trained_model
from tests.generation.test_counted import counted

TEXT = "ROMEO: What's here? A cup, closed in my true love's hand?\n" * 3
LONG_TEXT = "".join(CHARACTERS[i] for i in np.random.default_rng(3).integers(0, 65, 3000))
STACKS = [{}, {"batchnorm": True}, {"skip": "sum"}, {"batchnorm": True, "skip": "sum"}]


def ids_of(model: TrainedModel, text: str = TEXT) -> np.ndarray:
    return model.vocabulary.encode(text)


@pytest.mark.parametrize("kind", KERNELS)
def test_the_trace_is_what_torch_computes(kind: str) -> None:
    model = trained_model(kind)
    ids, network = ids_of(model), network_of(model).eval()
    trace = activations.trace(model, ids)
    below = network.embedding(torch.tensor(ids)[None])
    for layer, module in enumerate(network.recurrent):
        below, _ = module(below, None)
        np.testing.assert_allclose(trace.hidden[layer], below[0].detach(), atol=2e-5)
    np.testing.assert_allclose(trace.losses[1:], Model(model).losses(TEXT), atol=2e-4)
    assert math.isnan(trace.losses[0])


def test_a_long_passage_that_a_unit_remembers() -> None:
    text, model = LONG_TEXT.replace("q", '"'), planted()
    trace = activations.trace(model, ids_of(model, text))
    assert len(trace.losses) == len(text)
    np.testing.assert_allclose(trace.losses[1:], Model(model).losses(text), atol=2e-4)


@pytest.mark.parametrize("stack", STACKS, ids=str)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_gates_are_those_that_the_state_follows_from(kind: str, stack: dict) -> None:
    """The state after each character follows from the gates and the state before it."""
    model = trained_model(kind, num_layers=3, **stack)
    ids, folded = ids_of(model), fold(model)
    trace = activations.trace(model, ids)
    for layer in range(3):
        found = gates.gates(folded, ids, trace.hidden, layer, slice(0, len(ids)))
        h = trace.hidden[layer]
        before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
        if kind == "lstm":
            c = trace.carried[layer][1]
            np.testing.assert_allclose(found["o"] * np.tanh(c), h, atol=1e-5)
            kept = found["f"][1:] * c[:-1]
            assert (np.abs(c[1:] - kept) <= found["i"][1:] + 1e-5).all()
        else:
            new = (h - found["z"] * before) / (1 - found["z"])
            assert (np.abs(new) <= 1 + 1e-3).all()


def test_saturation_counts_in_pieces_what_it_counts_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained_model()
    ids, folded = ids_of(model), fold(model)
    hidden = activations.trace(model, ids).hidden
    whole = gates.gates(folded, ids, hidden, 1, slice(0, len(ids)))["f"]
    monkeypatch.setattr(gates, "_ROWS_AT_ONCE", 7)
    shares = gates.saturation(folded, ids, hidden)[1]["f"]
    assert shares.shape == (24, 2)
    np.testing.assert_allclose(shares, np.stack([whole < 0.1, whole > 0.9]).mean(1).T, atol=1e-9)
    monkeypatch.setattr(gates, "MOST_CHARACTERS", 60)  # every third
    shares, whole = gates.saturation(folded, ids, hidden)[1]["f"], whole[::3]
    np.testing.assert_allclose(shares, np.stack([whole < 0.1, whole > 0.9]).mean(1).T, atol=1e-9)


def test_the_planted_unit_is_ranked_first_for_quotes() -> None:
    model = planted()
    text = 'He said "come here" and went on; "not yet", she said, "no".\n' * 20
    trace = activations.trace(model, ids_of(model, text))
    features = correlation.features_of(text)
    r, chance = correlation.correlations(trace.hidden, features)
    quotes = list(features).index("inside quotes")
    assert correlation.ranked(r[:, quotes])[0] == UNIT
    assert r[UNIT, quotes] > 0.95 > chance[quotes]
    others = np.delete(np.abs(r[:, quotes]), UNIT)
    assert others.max() < 0.8
    assert int(np.abs(r[UNIT]).argmax()) == quotes


def test_a_correlation_is_pearsons_and_chance_needs_no_more_than_noise() -> None:
    numbers = np.random.default_rng(0)
    parts = [numbers.normal(size=(400, 5)).astype(np.float32) for _ in range(2)]
    parts[1][:, 3] = 0  # a unit that does nothing follows nothing
    feature = np.repeat(numbers.integers(0, 2, 40), 10).astype(np.float32)
    parts[0][:, 2] += 3 * feature
    r, chance = correlation.correlations(parts, {"one": feature})
    units = np.concatenate(parts, 1)
    for unit in set(range(10)) - {8}:
        expected = np.corrcoef(units[:, unit], feature)[0, 1]
        assert r[unit, 0] == pytest.approx(expected, abs=1e-5)
    assert r[8, 0] == 0
    assert correlation.ranked(r[:, 0])[0] == 2
    assert np.abs(np.delete(r[:, 0], 2)).max() < chance[0] < r[2, 0]


def test_slow_units_follow_slow_features_by_chance() -> None:
    """What a shuffle of single characters would hide: neighbours have much in common."""
    numbers = np.random.default_rng(1)
    slow = np.cumsum(numbers.normal(size=(2000, 40)), 0).astype(np.float32)
    feature = (np.cumsum(numbers.normal(size=2000)) > 0).astype(np.float32)
    shuffled = numbers.permutation(feature)
    _, chance = correlation.correlations([slow], {"slow": feature, "shuffled": shuffled})
    assert chance[0] > 3 * chance[1]


def test_features_that_do_not_vary_are_left_out() -> None:
    found = correlation.features_of("abc def\n" * 30)
    assert "inside quotes" not in found
    assert "position in the line" in found
    assert correlation.features_of("a") == {}


def test_the_loss_by_distance_is_that_of_windows_from_the_zero_state() -> None:
    model = trained_model()
    ids = ids_of(model)
    places = distance.windows(len(ids))
    assert places[0, 0] == 0
    assert places[-1, -1] == len(ids) - 1
    found = distance.network_losses(model, ids[places])
    alone = [Model(model).losses(TEXT[row[0] : row[-1] + 1]) for row in places]
    np.testing.assert_allclose(found, np.mean(alone, 0), atol=1e-3)
    buckets = distance.by_distance(found)
    assert [b[0] for b in buckets[1:]] == [b[1] + 1 for b in buckets[:-1]]
    assert (buckets[0][0], buckets[-1][1]) == (1, len(found))


def test_beside_it_stand_the_counts_in_the_same_windows() -> None:
    model = counted()
    ids = ids_of(model)
    plain = replace(model, counts=None)
    found = report(plain, Passage(ids, ""), None, model.counts)["distance"]
    places = distance.windows(len(ids))
    alone = [Model(model).losses(TEXT[row[0] : row[-1] + 1], counts="only") for row in places]
    expected = distance.by_distance(np.mean(alone, 0))
    np.testing.assert_allclose(found["counts"], expected, atol=1e-3)
    assert found["context"] == 5
    # one without counts: its training text is counted
    found = report(plain, Passage(ids, ""), model.vocabulary.encode(TEXT * 5))["distance"]
    assert found["counts"][-1][2] < 0.1 < found["network"][-1][2]


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_passage_may_be_very_short(length: int) -> None:
    model = trained_model()
    ids = ids_of(model)[:length]
    losses = distance.network_losses(model, ids[distance.windows(length)])
    assert [b[2] for b in distance.by_distance(losses)] == pytest.approx(losses.tolist())


def test_the_plane_keeps_distances_of_what_lies_in_one() -> None:
    numbers = np.random.default_rng(0)
    flat = numbers.normal(size=(9, 2)) * [3, 1]
    basis = np.linalg.qr(numbers.normal(size=(6, 2)))[0]
    places, shares = distance.plane((flat @ basis.T + 5).astype(np.float32))
    assert sum(shares) == pytest.approx(1)
    between = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(places[:, None] - places, axis=-1), between, atol=1e-5
    )
    assert distance.plane(np.ones((1, 3), np.float32))[1] == [0, 0]
