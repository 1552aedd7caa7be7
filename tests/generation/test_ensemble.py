"""Several models as one, by the Python face; test_fuzz has what they predict and write."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

import charrnn
from charrnn.errors import InputError
from charrnn.model import Model
from charrnn.models.trained import TrainedEnsemble
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import TEXT, counted, trained_model


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    models = [trained_model(kind, seed=n) for n, kind in enumerate(("lstm", "gru", "rnn"))]
    for n, model in enumerate(models):
        Model(model).save(tmp_path / f"{n}.safetensors")
    return [str(tmp_path / f"{n}.safetensors") for n in range(3)]


def test_a_model_of_twice_the_weight_counts_as_two(paths: list[str]) -> None:
    how = {"seed": 3, "temperature": 0.8}
    a, b, c = paths
    thrice = charrnn.load(paths, weights=[2, 1, 1]).generate(300, "Hm: ", **how)
    assert len(thrice) == 300
    assert thrice == charrnn.load([a, a, b, c]).generate(300, "Hm: ", **how)
    assert thrice != charrnn.load(paths).generate(300, "Hm: ", **how)
    assert repr(charrnn.load(paths)).startswith("Model(ensemble of 3: lstm 2 x 24")
    again = charrnn.load([a])
    assert isinstance(again, Model)
    assert again.generate(100, seed=1) == charrnn.load(a).generate(100, seed=1)


def test_what_cannot_be_an_ensemble_is_refused(paths: list[str], tmp_path: Path) -> None:
    for wrong in ([1, 1], [1, 1, 0], [1, 1, -1], [1, 1, float("nan")], []):
        with pytest.raises(InputError, match=r"weights=.*\(3 given\)"):
            charrnn.load(paths, weights=wrong)
    with pytest.raises(InputError, match=r"needs a number above 0 for each"):
        charrnn.load(paths[0], weights=[1])  # type: ignore[call-overload]
    with pytest.raises(InputError, match="needs one path"):
        charrnn.load([])
    for name, characters in (("a", "a\n"), ("ab", "a\nb"), ("ba", "b\na")):
        Model(trained_model(vocabulary=Vocabulary(list(characters)))).save(tmp_path / name)
    for one, other in itertools.permutations(("a", "ab", "ba"), 2):
        with pytest.raises(InputError, match=f"{other}: its vocabulary differs from .*{one}"):
            charrnn.load([str(tmp_path / one), str(tmp_path / other)])


def test_counts_of_one_text_are_mixed_in_once_those_of_others_not_at_all() -> None:
    alike = Model(TrainedEnsemble((counted("lstm", seed=1), counted("gru", seed=2))))
    assert alike.generate(200, seed=1) != alike.generate(200, seed=1, counts="none")
    several = (counted("lstm"), counted("gru", text=TEXT[:300]))
    without = Model(TrainedEnsemble(tuple(replace(m, counts=None) for m in several)))
    others = Model(TrainedEnsemble(several))
    assert others.generate(100, seed=1) == without.generate(100, seed=1)


def test_counts_that_are_not_there() -> None:
    model = Model(trained_model())
    assert model.generate(50, seed=1, counts="none") == model.generate(50, seed=1)
    for counts in ("only", "some"):
        with pytest.raises(InputError, match=f"counts={counts}: "):
            model.generate(50, counts=counts)
