"""The Python face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.model import Model, load
from charrnn.models.trained import TrainedEnsemble
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Capture
from tests.generation.models import make_counted_model, make_model


def test_logits_and_losses(model: Model) -> None:
    text = "To be, or not"
    logits = model.logits(text)
    assert (logits.shape, logits.dtype) == ((13, 65), np.float32)
    assert np.abs(logits[:3] - model.logits(text[:3])).max() < 1e-5
    assert model.logits("").shape == (0, 65)
    assert model.score(text) == pytest.approx(model.losses(text).mean(dtype=np.float64))
    with pytest.raises(InputError, match="U\\+00E9"):
        model.logits("é")
    for short in ("", "A"):
        with pytest.raises(InputError, match="two or more"):
            model.score(short)


MODELS = {
    "lstm": make_model(),
    "counted": make_counted_model(),
    "ensemble": TrainedEnsemble((make_model("lstm"), make_model("gru")), (0.3, 0.7)),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_step_is_the_models_and_a_loop_over_it_writes_as_the_sampler(kind: str) -> None:
    model = Model(MODELS[kind])
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
    for wrong in ([], [[1]], [-1], [len(model.vocabulary)]):
        with pytest.raises(InputError, match="ids="):
            model.step(wrong)


def test_generate(model: Model) -> None:
    text = model.generate(length=200, start_text="ROMEO:", temperature=0.8, seed=1)
    assert len(text) == 200
    pieces = list(model.stream(200, "ROMEO:", temperature=0.8, seed=1))
    assert len(pieces[0]) < 50  # the first is soon there
    assert "".join(pieces) == text
    assert model.generate(200, "ROMEO:", temperature=0.8, seed=1, num_samples=3)[0] == text
    assert model.generate(length=0) == ""
    assert model.generate(length=3, num_samples=1, seed=2) == [model.generate(length=3, seed=2)]
    assert model.generate(start_text="A", seed=1, until=text[5]).find(text[5]) == -1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # out of range; the ranges of other options are in test_bad_input.py
        *(("length", -1), ("temperature", "warm"), ("device", "abacus"), ("start_text", "é")),
        # of another type
        *(("length", 2.5), ("start_text", 5), ("ban", 5), ("until", b"a"), ("top_k", 1.5)),
        ("logit_bias", "e"),
    ],
)
def test_what_a_model_cannot_write_with_is_refused(name: str, value: Any, model: Model) -> None:
    for write in (model.generate, model.stream):  # both at once
        with pytest.raises(InputError, match=name):
            write(**{name: value})
        with pytest.raises(TypeError, match=r"^temprature: no such argument; did you mean temp"):
            write(temprature=1)


def test_wrong_numbers_of_samples_and_words_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="num_samples"):
        model.generate(num_samples=0)
    for start_text, k in ((5, 1), ("a", "5"), ("a", 2.5)):
        with pytest.raises(InputError, match=r"^(k|start_text)="):
            model.next_words(start_text, k)  # type: ignore[arg-type]
    assert len(model.next_words("a", np.int64(2))) == 2  # type: ignore[arg-type]


# Several models as one; tests/generation/test_fuzz.py has what they predict and write


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ("network", "the ensemble has no counts, because {} has none\n"),
        ("of another text", "the ensemble has no counts, because they are not of the same text\n"),
        ("counted", ""),
    ],
)
def test_an_ensemble_without_the_counts_of_a_model_says_so(
    other: str, line: str, tmp_path: Path, capsys: Capture
) -> None:
    another = make_counted_model(text="To be, or not" * 9)
    models = {**MODELS, "network": make_model("gru"), "of another text": another}
    for name in {"counted", other}:
        Model(models[name]).save(tmp_path / name)
    both = load([str(tmp_path / "counted"), str(tmp_path / other)])
    assert (both.trained.counts is None) == bool(line)
    assert capsys.readouterr().err == line.format(tmp_path / other)


def test_an_ensemble_refuses_other_models_and_weights(path: Path, tmp_path: Path) -> None:
    paths = [path] * 3
    for wrong in ([1, 1], [1, 1, 0], [1, 1, -1], [1, 1, float("nan")], []):
        with pytest.raises(InputError, match=r"weights=.*\(3 given\)"):
            load(paths, weights=wrong)
    with pytest.raises(InputError, match=r"needs a number above 0 for each"):
        load(paths[0], weights=[1])  # type: ignore[call-overload]
    with pytest.raises(InputError, match="needs one path"):
        load([])
    with pytest.raises(InputError, match=r"^\[a,b\]: no such file; this command takes one model$"):
        load("[a,b]")
    for name, characters in (("one", "ab\n"), ("other", "ba\n")):
        Model(make_model(vocabulary=Vocabulary(list(characters)))).save(tmp_path / name)
    with pytest.raises(InputError, match=r"other: its vocabulary differs from .*one"):
        load([str(tmp_path / "one"), str(tmp_path / "other")])
