"""Trained models: architectures and weights that are none are refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.models.trained import Architecture, TrainedModel, architecture_from
from tests.generation.models import trained_model


def small_model(**given: Any) -> TrainedModel:
    return trained_model(**{"hidden_size": 3, "embedding_size": 2, **given})


def test_weights_that_do_not_fit_are_named() -> None:
    model = small_model()
    weights = dict(model.weights)
    del weights["decoder.bias"]
    with pytest.raises(InputError, match=r"decoder\.bias is missing"):
        replace(model, weights=weights)
    with pytest.raises(InputError, match="extra has no place"):
        replace(model, weights={**model.weights, "extra": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match=r"decoder\.bias is \(3,\), not \(65,\)"):
        replace(model, weights={**model.weights, "decoder.bias": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match="65 characters"):
        replace(model, architecture=replace(model.architecture, vocabulary_size=66))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    model = small_model()
    weight = model.weights["decoder.weight"].copy()
    weight[2, 1] = bad
    with pytest.raises(InputError, match=r"decoder\.weight holds numbers that are not finite"):
        replace(model, weights={**model.weights, "decoder.weight": weight})


def test_a_negative_variance_is_refused() -> None:
    model = small_model(batchnorm=True)
    variance = np.array([1, -0.1, 1], np.float32)
    with pytest.raises(InputError, match="negative variance"):
        replace(model, weights={**model.weights, "norms.0.running_var": variance})


def test_so_many_layers_cost_nothing() -> None:
    model = small_model()
    with pytest.raises(InputError, match="layers"):
        replace(model, architecture=replace(model.architecture, num_layers=2**60))


def test_an_architecture_is_held_to_its_types() -> None:
    good: dict[str, Any] = vars(small_model().architecture)
    assert architecture_from({**good, "dropout": 0}) == Architecture(**good)
    for name, value in (
        ("kind", 3),
        ("kind", "transformer"),
        ("hidden_size", "3"),
        ("hidden_size", 3.0),
        ("hidden_size", True),
        ("hidden_size", -3),
        ("hidden_size", None),
        ("num_layers", 0),
        ("dropout", "0"),
        ("dropout", float("nan")),
        ("dropout", True),
        ("batchnorm", 0),
        ("skip", True),
        ("skip", "dense"),
        ("vocabulary_size", 0),
    ):
        with pytest.raises((InputError, ValueError)):
            architecture_from({**good, name: value})


def test_a_value_out_of_range_is_named() -> None:
    for values, line in (
        ({"kind": "lstn"}, "model.kind=lstn: is neither built in (lstm, "),
        ({"hidden_size": 0}, "model.hidden_size=0: must be 1 or more"),
        ({"dropout": 1.0}, "model.dropout=1.0: must be at least 0 and below 1"),
        ({"skip": "all"}, "model.skip=all: must be one of none, sum"),
        ({"vocabulary_size": 0}, "the vocabulary is empty"),
    ):
        with pytest.raises(InputError) as refused:
            Architecture(**{**asdict(small_model().architecture), **values})
        assert str(refused.value).startswith(line)


def test_a_field_that_a_file_lacks_has_its_default() -> None:
    whole = asdict(Architecture("gru", 4, 5, 2, 0.0, False, vocabulary_size=10))
    newer = ("skip",)
    without = {name: whole[name] for name in whole if name not in newer}
    assert architecture_from(without) == architecture_from(whole)
    for name in without:
        with pytest.raises(KeyError, match=name):
            architecture_from({n: v for n, v in whole.items() if n != name})


def test_a_file_holds_a_newer_field_only_where_it_is_on() -> None:
    plain = Architecture("gru", 4, 5, 2, 0.0, False, vocabulary_size=10)
    assert "skip" not in plain.plain()
    on = replace(plain, skip="sum")
    assert architecture_from(on.plain()) == on


def test_a_field_that_this_version_does_not_know_is_refused() -> None:
    whole = asdict(Architecture("gru", 4, 5, 2, 0.0, False, vocabulary_size=10))
    with pytest.raises(ValueError, match="its depth is unknown to this charrnn"):
        architecture_from({**whole, "depth": 3})
