"""Where the training text of a model is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.errors import InputError
from charrnn.extras.novelty.training_text import find_training_text
from charrnn.models.trained import TrainedModel
from charrnn.options.datasets import SplitOptions
from charrnn.text.preprocessing import preprocess
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

TEXT = "one\ntwo, zwölf 東\n" * 5  # 75 characters


@pytest.fixture(params=["utf-8", "bytes"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> TrainedModel:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    made = preprocess(str(tmp_path / "text.txt"), None, None, SplitOptions(0.2, 0.2, request.param))
    facts = {"input_h5": str(made.h5), "input_json": str(made.json), "encoding": request.param}
    return replace(trained_model(vocabulary=made.vocabulary), facts=facts)


def characters(trained: TrainedModel) -> str:
    return trained.vocabulary.decode(trained.vocabulary.encode(TEXT))


def test_the_training_split_that_the_run_recorded(trained: TrainedModel) -> None:
    whole, found = characters(trained), find_training_text(trained).text
    assert len(whole) * 0.6 <= len(found) < len(whole) * 0.7
    assert whole.startswith(found)


def test_a_text_and_a_dataset_by_name(trained: TrainedModel) -> None:
    folder = Path(trained.facts["input_h5"]).parent
    assert find_training_text(trained, str(folder / "text.txt")).text == characters(trained)
    by_run = find_training_text(trained).text
    alone = replace(trained, facts={})
    assert find_training_text(alone, str(folder / "text.h5")).text == by_run


@pytest.mark.parametrize("facts", [{}, {"input_h5": "gone.h5", "input_json": "gone.json"}])
def test_what_is_not_at_hand(facts: dict[str, str]) -> None:
    trained = replace(trained_model(vocabulary=Vocabulary(["a"])), facts=facts)
    with pytest.raises(InputError, match=r"^corpus=null: .* give corpus=, its text"):
        find_training_text(trained)
    with pytest.raises(InputError, match=r"^corpus=gone.txt: .*no such file"):
        find_training_text(trained, "gone.txt")
    with pytest.raises(InputError, match=r"^corpus=gone.h5: "):
        find_training_text(trained, "gone.h5")
