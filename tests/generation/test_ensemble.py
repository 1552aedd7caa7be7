"""An ensemble writes from the mean of its members' probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import charrnn
from charrnn.errors import InputError
from charrnn.generation.engines import Engines
from charrnn.generation.state import beginning
from charrnn.model import Model
from charrnn.models.ensemble import TrainedEnsemble, in_order_of, other_characters
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import CHARACTERS, params, trained_model

CHOICES = [params(), params(0.5), params(1.7, top_k=5), params(top_p=0.7), params(0)]


def members() -> list[TrainedModel]:
    """Of different cells and sizes, as different as they are together rarely."""
    return [
        trained_model("lstm", seed=1),
        trained_model("gru", seed=2, num_layers=1, hidden_size=31, batchnorm=True),
        trained_model("rnn", seed=3, num_layers=3, embedding_size=7),
    ]


def shuffled(model: TrainedModel) -> TrainedModel:
    """The same model with its characters in another order."""
    order = np.random.default_rng(1).permutation(len(model.vocabulary))
    names = model.vocabulary.characters
    return in_order_of(model, Vocabulary([names[i] for i in order]))


def mean_probabilities(models: list[TrainedModel], text: str) -> np.ndarray:
    """The definition: each model's softmax in float64 over the whole text, averaged (T, V)."""
    each = []
    for model in models:
        logits = Model(model).logits(text).astype(np.float64)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        each.append(weights / weights.sum(-1, keepdims=True))
    return np.mean(each, 0)


def written_by_definition(
    models: list[TrainedModel], choice: SamplingParams, uniforms: np.ndarray
) -> str:
    """One character after another, everything read again for each."""
    text = "\n"
    for uniform in uniforms:
        p = mean_probabilities(models, text)[-1]
        order = np.argsort(-p, kind="stable")
        if float(choice.temperature) == 0:
            text += CHARACTERS[order[0]]
            continue
        p = p ** (1 / float(choice.temperature))
        p /= p.sum()
        if choice.top_k:
            p[order[choice.top_k :]] = 0
        if choice.top_p:
            reached = np.cumsum(p[order]) >= choice.top_p * p.sum()
            p[order[np.argmax(reached) + 1 :]] = 0
        sums = np.cumsum(p)
        text += CHARACTERS[int(np.searchsorted(sums, uniform * sums[-1], "right"))]
    return text[1:]


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_writes_by_the_mean_of_the_probabilities(engine: str, choice: SamplingParams) -> None:
    model = TrainedEnsemble(tuple(members()))
    uniforms = np.random.default_rng(0).random((1, 60))
    ids = model.vocabulary.encode("\n")
    writer = Engines(model).named(engine)
    whole, _ = writer.write(ids, beginning(model, 1), uniforms, choice)
    assert model.vocabulary.decode(whole[0]) == written_by_definition(
        members(), choice, uniforms[0]
    )
    # in pieces, and beside other streams
    many = np.random.default_rng(0).random((5, 60))
    many[2] = uniforms
    five = np.repeat(ids, 5)
    one, state = writer.write(five, beginning(model, 5), many[:, :25], choice)
    two, _ = writer.write(one[:, -1], state, many[:, 25:], choice)
    assert np.array_equal(np.concatenate([one[2], two[2]]), whole[0])


@pytest.mark.parametrize("kinds", [("lstm", "gru", "rnn"), ("lstm", "rnn")])
def test_logits_and_scores(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    models = [trained_model(kind, seed=i) for i, kind in enumerate(kinds)]
    paths = [str(tmp_path / f"{i}.safetensors") for i in range(len(models))]
    for i, (path, model) in enumerate(zip(paths, models, strict=True)):
        Model(shuffled(model) if i == 1 else model).save(path)
    ensemble = charrnn.load(paths)
    text = "To be, or not to be; that is"
    p = mean_probabilities(models, text)
    assert ensemble.logits(text).dtype == np.float32
    assert np.allclose(np.exp(ensemble.logits(text)), p, atol=1e-5)
    ids = ensemble.vocabulary.encode(text)
    expected = -np.log(p[np.arange(len(ids) - 1), ids[1:]]).mean()
    assert ensemble.score(text) == pytest.approx(expected, abs=1e-5)
    assert repr(ensemble).startswith(f"Ensemble(ensemble of {len(kinds)}: lstm 2 x 24")


def test_weights_are_those_of_the_mean(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{i}.safetensors") for i in range(3)]
    for path, model in zip(paths, members(), strict=True):
        Model(model).save(path)
    a, b, c = paths
    text = "To be, or not to be; that is"
    each = [np.exp(Model(model).logits(text).astype(np.float64)) for model in members()]
    p = [q / q.sum(-1, keepdims=True) for q in each]
    weighted = charrnn.load(paths, weights=[3, 0.5, 1.5])
    expected = 0.6 * p[0] + 0.1 * p[1] + 0.3 * p[2]
    assert np.allclose(np.exp(weighted.logits(text)), expected, rtol=1e-4, atol=1e-7)
    ids = weighted.vocabulary.encode(text)
    loss = -np.log(expected[np.arange(len(ids) - 1), ids[1:]]).mean()
    assert weighted.score(text) == pytest.approx(loss, abs=1e-5)
    # a model of twice the weight counts as two of it, whoever writes
    for engine in ("numpy", "torch"):
        how = {"seed": 3, "temperature": 0.8, "engine": engine}
        thrice = charrnn.load(paths, weights=[2, 1, 1]).generate(300, "Hm: ", **how)
        assert thrice == charrnn.load([a, a, b, c]).generate(300, "Hm: ", **how)
        assert thrice != charrnn.load(paths).generate(300, "Hm: ", **how)
    for wrong in ([1, 1], [1, 1, 0], [1, 1, -1], [1, 1, float("nan")], []):
        with pytest.raises(InputError, match=r"weights=.*a number above 0 for each \(3 given\)"):
            charrnn.load(paths, weights=wrong)
    with pytest.raises(InputError, match=r"needs several models"):
        charrnn.load(a, weights=[1])  # type: ignore[call-overload]


def test_generates_as_a_model_does(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, model in zip(paths, members(), strict=True):
        Model(model).save(path)
    ensemble = charrnn.load(paths)
    text = ensemble.generate(300, "Hm: ", seed=3, temperature=0.8)
    assert len(text) == 300
    assert "".join(ensemble.stream(300, "Hm: ", seed=3, temperature=0.8)) == text
    assert ensemble.generate(300, "Hm: ", seed=3, temperature=0.8, num_samples=4)[0] == text
    assert ensemble.generate(300, "Hm: ", seed=3, temperature=0.8, engine="torch") == text
    with pytest.raises(InputError, match="engine=numba: writes with one model"):
        ensemble.generate(10, engine="numba")


def test_one_in_a_list_is_the_model_itself(tmp_path: Path) -> None:
    model = Model(trained_model())
    model.save(tmp_path / "a.safetensors")
    again = charrnn.load([tmp_path / "a.safetensors"])
    assert isinstance(again, Model)
    assert again.generate(100, seed=1) == model.generate(100, seed=1)
    twice = charrnn.load([tmp_path / "a.safetensors"] * 2)
    assert twice.generate(100, seed=1) == model.generate(100, seed=1)


def test_other_characters_are_refused_in_one_line(tmp_path: Path) -> None:
    def saved(name: str, vocabulary: Vocabulary) -> str:
        Model(trained_model(vocabulary=vocabulary)).save(tmp_path / name)
        return str(tmp_path / name)

    a, ab = saved("a", Vocabulary(["a", "\n"])), saved("ab", Vocabulary(["a", "\n", "b"]))
    with pytest.raises(InputError, match=r"ab: knows the character 'b', other than .*a; the mod"):
        charrnn.load([a, ab])
    with pytest.raises(InputError, match=r"a: lacks the character 'b', other than .*ab; the"):
        charrnn.load([ab, a])
    of_bytes = replace(Vocabulary(["a", "\n"]), is_bytes=True)
    assert "knows bytes" in other_characters(of_bytes, Vocabulary(["a", "\n"]))
    with pytest.raises(InputError, match="needs one path"):
        charrnn.load([])
