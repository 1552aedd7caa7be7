"""The Python face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charrnn.errors import InputError, RunError
from charrnn.model import Model, load

# What a model can do


def test_logits(model: Model) -> None:
    logits = model.logits("ROMEO:")
    assert logits.shape == (6, 65)
    assert logits.dtype == np.float32
    assert np.abs(logits[:3] - model.logits("ROM")).max() < 1e-5
    assert model.logits("").shape == (0, 65)
    with pytest.raises(InputError, match="U\\+00E9"):
        model.logits("é")


def test_score_is_the_mean_loss_of_the_logits(model: Model) -> None:
    text = "To be, or not to be: that is the question"
    logits, ids = model.logits(text).astype(np.float64), model.vocabulary.encode(text)
    log_sums = np.log(np.exp(logits).sum(-1))[:-1]
    losses = log_sums - logits[np.arange(len(ids) - 1), ids[1:]]
    assert model.score(text) == pytest.approx(losses.mean(), abs=1e-4)
    for short in ("", "A"):
        with pytest.raises(InputError, match="two or more"):
            model.score(short)


def test_generate(model: Model) -> None:
    text = model.generate(length=200, start_text="ROMEO:", temperature=0.8, seed=1)
    assert len(text) == 200
    pieces = list(model.stream(200, "ROMEO:", temperature=0.8, seed=1))
    assert len(pieces[0]) < 50  # the first comes soon
    assert "".join(pieces) == text
    assert model.generate(200, "ROMEO:", temperature=0.8, seed=1, num_samples=3)[0] == text
    assert model.generate(length=0) == ""
    assert model.generate(length=3, num_samples=1, seed=2) == [model.generate(length=3, seed=2)]
    assert model.generate(start_text="A", seed=1, until=text[5]).find(text[5]) == -1


def test_values_out_of_range_are_refused_at_once(model: Model) -> None:
    """The ranges of the others are in test_bad_input.py."""
    for values in ({"length": -1}, {"temperature": "warm"}, {"engine": "abacus"},
                   {"start_text": "é"}):  # fmt: skip
        [named] = values
        with pytest.raises(InputError, match=named):
            model.generate(**values)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=named):
            model.stream(**values)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="num_samples"):
        model.generate(num_samples=0)


# Where a model is loaded from


def test_save(path: Path, model: Model) -> None:
    again = path.with_name("again.safetensors")
    load(path).save(again)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(RunError, match="cannot be written"):
        model.save(path / "below")
