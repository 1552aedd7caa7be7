"""Compare the numbers about a model and a passage with their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from charrnn.extras.inspect import activations, correlation
from charrnn.extras.inspect.features import FEATURES
from charrnn.extras.inspect.passage_report import make_report
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.networks.network import make_network
from tests.generation.models import make_counted_model, make_model

TEXT = "ROMEO: What's here? A cup, closed in my true love's hand?\n" * 3


def ids_of(model: TrainedModel, text: str = TEXT) -> np.ndarray:
    return model.vocabulary.encode(text)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_the_trace_is_what_torch_computes(kind: str) -> None:
    model = make_model(kind)
    ids, network = ids_of(model), make_network(model).eval()
    trace = activations.trace_passage(model, ids)
    below = network.embedding(torch.tensor(ids)[None])
    for layer, module in enumerate(network.recurrent):
        below, _ = module(below, None)
        np.testing.assert_allclose(trace.carried[layer][0], below[0].detach(), atol=2e-5)
    np.testing.assert_allclose(trace.losses[1:], Model(model).losses(TEXT), atol=2e-4)
    assert np.isnan(trace.losses[0])


def test_a_correlation_is_pearsons_and_above_chance_for_a_unit_that_follows() -> None:
    numbers = np.random.default_rng(0)
    parts = [numbers.normal(size=(400, 5)).astype(np.float32) for _ in range(2)]
    parts[1][:, 3] = 0  # a unit that does nothing follows nothing
    feature = np.repeat(numbers.integers(0, 2, 40), 10).astype(np.float32)
    parts[0][:, 2] += 3 * feature
    r, chance = correlation.compute_correlations(parts, {"one": feature})
    units = np.concatenate(parts, 1)
    for unit in set(range(10)) - {8}:
        expected = np.corrcoef(units[:, unit], feature)[0, 1]
        assert r[unit, 0] == pytest.approx(expected, abs=1e-5)
    assert r[8, 0] == 0
    assert np.abs(np.delete(r[:, 0], 2)).max() < chance[0] < r[2, 0]


@pytest.mark.parametrize("length", [2, 3, len(TEXT)])
def test_the_loss_by_distance_is_that_of_windows_from_the_zero_state(length: int) -> None:
    model, text = make_counted_model(), TEXT[:length]
    ids, places = ids_of(model, text), activations.choose_windows(length)
    assert (places[0, 0], places[-1, -1]) == (0, length - 1)
    seen = make_report(replace(model, counts=None), ids, model.counts)
    for name, which in (("network", "none"), ("alone", "only"), ("both", "auto")):
        mean = Model(model).losses(text, counts=which).mean()
        assert seen["counts"][name] == pytest.approx(mean, abs=1e-3)
    found = seen["distance"]
    for counts in ("network", "counts"):
        which = {"network": "none", "counts": "only"}[counts]
        alone = [Model(model).losses(text[row[0] : row[-1] + 1], counts=which) for row in places]
        expected = activations.average_by_distance(np.mean(alone, 0))
        np.testing.assert_allclose(found[counts], expected, atol=1e-3)
        assert [b[0] for b in expected[1:]] == [b[1] + 1 for b in expected[:-1]]
        assert (expected[0][0], expected[-1][1]) == (1, len(alone[0]))


CASES = [
    ("inside quotes", 'a "b\nc\n\nd "e" f', "001111100011000"),
    ("inside quotes", "“a “b” c „d“ «e»", "1111100001100110"),
    ("inside single quotes", "it's 'so' 'tis", "00000111001111"),
    ("inside brackets", "a(b[c])d)e", "0112210000"),
    ("position in the line", "ab\ncd", "12012"),
    ("position in the word", "ab-cde f", "12012301"),
    ("word ends", "ab c, d", "0101001"),
    ("line ends", "a\n\nb", "0110"),
    ("blank", "a b\tc\n", "010100"),
    ("upper case", "aBÇ1", "0110"),
    ("digit", "a12", "011"),
    ("vowel", "axEy", "1010"),
    ("indentation", "a\n  b c\n\td", "0012222044"),
    ("inside an indentation", "a b\n  c d", "000011000"),
    ("after a colon", "a: b\nc", "011100"),
    ("inside a comment", "a # b\nc", "0011100"),
    ("position in the paragraph", "ab\n\nc", "01100"),  # logarithms, cut
]


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_a_feature_marks_its_characters(name: str, text: str, expected: str) -> None:
    assert "".join(str(int(value)) for value in FEATURES[name].compute(text)) == expected


def test_any_text_has_a_number_for_each_character() -> None:
    assert {name for name, _, _ in CASES} == set(FEATURES)
    for feature in FEATURES.values():
        for text in ("", "a", "\n", "\"('#:", "\udcff\0\u2028", "\n\n\n"):
            assert len(feature.compute(text)) == len(text)
    # a feature that does not vary is left out
    assert "inside quotes" not in correlation.compute_features("abc def\n" * 30)
