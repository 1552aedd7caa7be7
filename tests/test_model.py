"""The Python face."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.generation.draw import log_softmax
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from tests.generation.models import make_counted_model, make_model


def test_losses_are_those_of_the_logits_with_and_without_counts() -> None:
    model, text, found = Model(make_counted_model()), "To be, or not to be", {}
    ids, size = model.vocabulary.encode(text)[1:], len(text) - 1
    for counts in ("auto", "none", "only"):
        logits, losses = model.logits(text, counts), model.losses(text, counts)
        assert (logits.shape, logits.dtype) == ((size + 1, 65), np.float32)
        assert np.abs(logits[:3] - model.logits(text[:3], counts)).max() < 1e-5
        np.testing.assert_allclose(losses, -log_softmax(logits)[np.arange(size), ids], atol=1e-4)
        assert model.score(text, counts) == pytest.approx(losses.mean(dtype=np.float64))
        found[counts] = losses.tobytes()
    assert len({*found.values()}) == 3
    assert model.logits("").shape == (0, 65)
    with pytest.raises(InputError, match="U\\+00E9"):
        model.logits("é")
    for short in ("", "A"):
        with pytest.raises(InputError, match="two or more"):
            model.score(short)


def test_a_text_is_its_pieces_and_the_first_of_several_samples(model: Model) -> None:
    asked: Any = {"start_text": "ROMEO:", "temperature": 0.8, "seed": 1}
    text, pieces = model.generate(200, **asked), list(model.stream(200, **asked))
    assert len(text) == 200
    assert len(pieces[0]) < 50  # the first is soon there
    assert "".join(pieces) == text
    assert model.generate(200, **asked, num_samples=3)[0] == text
    assert model.generate(3, num_samples=1, seed=2) == [model.generate(3, seed=2)]
    with pytest.raises(InputError, match="num_samples"):
        model.generate(num_samples=0)


@pytest.mark.parametrize("trained", [make_model(), make_counted_model()])
def test_a_step_is_the_models_and_a_loop_over_it_writes_as_the_sampler(
    trained: TrainedModel,
) -> None:
    model = Model(trained)
    texts = ["To be, or not", "ROMEO: a rose"]
    expected = np.stack([model.logits(text) for text in texts], 1)
    alone, together = None, None
    for t, ids in enumerate(zip(*map(model.vocabulary.encode, texts), strict=True)):
        before = together
        logits, together = model.step(ids, together)
        assert np.abs(logits - expected[t]).max() < 1e-5
        again, _ = model.step(ids, before)  # a step changes no state
        assert (again == logits).all()
        single, alone = model.step(ids[:1], alone)
        assert np.abs(single - logits[:1]).max() < 1e-5
    ids, state, written = model.vocabulary.encode("To be"), None, []
    for n in range(5):
        logits, state = model.step(ids[n : n + 1], state)
    for _ in range(40):
        written.append(int(logits.argmax()))
        logits, state = model.step(written[-1:], state)
    text = model.generate(40, "To be", temperature=0)
    assert model.vocabulary.decode(written) == text
    for wrong in ([], [[1]], [-1], [len(model.vocabulary)], [1.5], [2**63], [2**70], [True]):
        with pytest.raises(InputError, match="ids="):
            model.step(wrong)
    for odd in ([], together, state[:1]):
        with pytest.raises(InputError, match="state: is none of 1 streams"):
            model.step([1], odd)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("length", -1), ("temperature", "warm"), ("device", "abacus"), ("start_text", "é")),
        *(("length", 2.5), ("start_text", 5), ("until", b"a")),  # of another type
    ],
)
def test_what_a_model_cannot_write_with_is_refused(name: str, value: Any, model: Model) -> None:
    for write in (model.generate, model.stream):  # both at once
        with pytest.raises(InputError, match=name):
            write(**{name: value})
        with pytest.raises(TypeError, match="temprature"):
            write(temprature=1)
