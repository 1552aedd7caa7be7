"""The likeliest next words and marks, beside all that there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.generation.draw import log_softmax
from charrnn.generation.next_words import MAX_STEPS, find_next_words
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import fill_weights, make_counted_model, make_model

DEPTH = 8  # letters of the longest words that `list_all` lists
TINY = Vocabulary(list("ab .\n"))


def list_all(model: Model, start_text: str) -> tuple[dict[str, float], float]:
    """Compute the probabilities of all words and marks, and the sum of those of longer words."""
    found, longer = dict[str, float](), 0.0
    characters = model.vocabulary.characters

    def read(text: str, p: float, logits: Any, state: Any) -> None:
        nonlocal longer
        for id_, q in enumerate(np.exp(log_softmax(logits[0]))):
            character = characters[id_]
            if character.isalpha() and len(text) == DEPTH:
                longer += p * q
            elif character.isalpha() or (character == " " and text == ""):
                read(text + character, p * q, *model.step([id_], state))
            elif text in ("", " "):
                found[text + character] = p * q
            else:  # however the word ends
                found[text] = found.get(text, 0) + p * q

    state = None
    for id_ in model.vocabulary.encode(start_text):
        logits, state = model.step([id_], state)
    read("", 1.0, logits, state)
    return found, longer


MODELS = [
    make_model("lstm", vocabulary=TINY, conviction=2.0),
    make_counted_model(text="ab ba b. aab.\nbab abb a ba.\n" * 20, vocabulary=TINY),
]


@pytest.mark.parametrize("trained", MODELS)
@pytest.mark.parametrize("start_text", ["ab", "ab ", "a.\n"])
def test_next_words_are_the_likeliest_of_all(trained: TrainedModel, start_text: str) -> None:
    model = Model(trained)
    every, longer = list_all(model, start_text)
    assert sum(every.values()) + longer == pytest.approx(1, abs=1e-5)
    expected = sorted(every.items(), key=lambda item: -item[1])[:8]
    assert longer < expected[-1][1]
    for k in (1, 5, 8):
        found = model.next_words(start_text, k)
        assert [word for word, _ in found] == [word for word, _ in expected[:k]]
        assert [p for _, p in found] == pytest.approx([p for _, p in expected[:k]], abs=1e-5)


def test_next_words_follow_the_primer() -> None:
    trained = make_counted_model()
    model = Model(trained)
    assert model.next_words("The c")[0].text == "at"
    words, p = zip(*model.next_words("The c\n"), strict=True)
    primed = Model(replace(trained, facts={"primer": "The c"})).next_words("")
    assert [word for word, _ in primed] == [*words]
    assert [q for _, q in primed] == pytest.approx(p, abs=1e-5)


def test_there_may_be_fewer_next_words_than_asked_for() -> None:
    marks = Model(make_model(vocabulary=Vocabulary(list(" 12"))))
    found = marks.next_words("1", 100)
    assert {word for word, _ in found} == {"1", "2", " 1", " 2", "  "}
    assert sum(p for _, p in found) == pytest.approx(1, abs=1e-5)
    letters = Model(make_model(vocabulary=Vocabulary(list("abc"))))
    assert letters.next_words("a", 3) == []
    assert letters.next_words("", 3) == []  # no character precedes the first
    with pytest.raises(InputError, match=r"k=0: must be 1 or more"):
        letters.next_words("a", 0)


def test_the_network_reads_at_most_200_prefixes() -> None:
    # the same for all that follows: the equally likely are sorted by text
    uniform = fill_weights(make_model("rnn", vocabulary=Vocabulary(list("ba."))), 0)
    model, read = Model(uniform), []

    def step(ids: Any, state: Any) -> Any:
        read.append(len(ids))
        return model.step(ids, state)

    logits, state = model.step([0])
    words = [word for word, _ in find_next_words(step, model.vocabulary, logits, state, 1000)]
    assert sum(read) == MAX_STEPS == 200
    assert max(read) == 16
    assert words[:7] == [".", "a", "b", "aa", "ab", "ba", "bb"]


def test_scores_that_are_not_numbers_give_no_words() -> None:
    assert Model(fill_weights(make_model(), 3e38)).next_words("The c") == []
