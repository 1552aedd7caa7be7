"""Text that does not copy, from models that have learned their training text by heart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charrnn.errors import RunError
from charrnn.extras.novelty.novel_writing import write_novel
from charrnn.generation.sampler import Sampler
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.definition import Writer, assert_follows
from tests.generation.models import make_model, params

LENGTH = 400
LETTERS = Vocabulary(list("\nabcdefghijk"))


def texts(model: TrainedModel, options: SamplingParams, training: str, longest: int) -> list[str]:
    found = [""] * options.num_samples
    for piece in write_novel(Sampler(model), options, training, longest):
        found[piece.sample] += piece.text
    return found


def plain(model: TrainedModel, options: SamplingParams) -> str:
    return "".join(piece.text for piece in Sampler(model).write(options))


def copies(text: str, training: str, length: int) -> bool:
    return any(text[at : at + length] in training for at in range(len(text) - length + 1))


@pytest.mark.parametrize("longest", [1, 20])
def test_no_run_is_longer_than_allowed(longest: int) -> None:
    model, options = make_model("gru"), SamplingParams(LENGTH, seed=1)
    # at the third of it, so that there is something that may be copied and something that may not
    training = plain(model, options)[LENGTH // 3 : LENGTH // 3 + (2 if longest == 1 else LENGTH)]
    pieces = list(write_novel(Sampler(model), options, training, longest))
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    text = "".join(piece.text for piece in pieces)
    assert len(text) == LENGTH
    assert not copies(text, training, longest + 1)
    assert [text] == texts(model, options, training, longest)


def test_a_second_draw_follows_the_rest_of_the_distribution() -> None:
    model = Model(make_model(vocabulary=LETTERS, conviction=2, seed=3))
    options = SamplingParams(2, start_text="abc", seed=4, temperature=1.0, num_samples=2000)
    refused = {first + "b" for first in "abcdef"} | {first + "\n" for first in "ghijk"}
    drawn = texts(model.trained, options, refused, 1)  # type: ignore[arg-type]
    expected = np.zeros(len(LETTERS))
    for first, share in zip(LETTERS.characters, probability(model.logits("abc")), strict=True):
        second = probability(model.logits("abc" + first))
        second[[first + character in refused for character in LETTERS.characters]] = 0
        expected += share * second / second.sum()
    counts = np.bincount(LETTERS.encode("".join(text[1] for text in drawn)), minlength=len(LETTERS))
    assert_follows(counts, expected)


def probability(logits: np.ndarray) -> np.ndarray:
    """Predict the character after the last."""
    return np.array(Writer(params(), LETTERS).probabilities(logits[-1]))


def test_nothing_to_copy_is_as_without() -> None:
    model = make_model()
    for options in (
        SamplingParams(LENGTH, seed=1, start_text="To be", top_k=5, ban="e"),
        SamplingParams(LENGTH, seed=2, temperature=1.5),
        SamplingParams(LENGTH, seed=3, until="a"),
        SamplingParams(0, seed=3),
    ):
        assert texts(model, options, "", 3) == [plain(model, options)]


def test_novel_ends_if_the_model_has_no_other_choice() -> None:
    model, options = make_model(), SamplingParams(LENGTH, seed=1, temperature=0)
    training = plain(model, options)
    with pytest.raises(RunError, match=r"^novel=10: after [0-9]+ characters, every try copied"):
        texts(model, options, training, 10)
    # but the text before is complete if it ends there
    until = training[8]
    assert texts(model, replace(options, until=until), training, 10) == [training.split(until)[0]]
