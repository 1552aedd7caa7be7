"""Debts and new words in written text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from charrnn.model import Model
from charrnn.text.vocabulary import Vocabulary
from tests.generation.definition import Words
from tests.generation.models import (
    TEXT,
    fill_weights,
    make_counted_model,
    make_model,
    with_background,
)

OTHER = "A dog, a frog! No hog... Which?\n"
MODEL = with_background(make_counted_model(), OTHER)


def test_a_cold_text_has_the_marks_of_its_text_and_closes_its_quotes() -> None:
    marks = '\n.?"()'
    facts = {"punctuation": {"shares": {".": 0.07}, "pairs": ['""', "()"]}}
    vocabulary = Vocabulary([*marks, *" abcdefghijklmnopqrstuv"])
    model = replace(fill_weights(make_model(vocabulary=vocabulary), 0), facts=facts)
    model.weights["decoder.bias"][vocabulary.encode("e")] = 2
    text = Model(model).generate(5000, temperature=0.5, min_p=0, seed=1)
    assert text.count(".") == pytest.approx(0.07 * len(text), rel=0.1)
    *paragraphs, _ = text.split("\n")
    assert len(paragraphs) > 50
    assert all(p.count('"') % 2 == 0 and p.count("(") == p.count(")") for p in paragraphs)


def test_nothing_is_invented_with_new_words_of_0() -> None:
    known = Words([TEXT, OTHER], 6)
    for temperature in (0.5, 1.0, 2.0):
        asked = {"temperature": temperature, "seed": 2, "num_samples": 3}
        for text in Model(MODEL).generate(600, new_words=0, **asked):
            for end in range(100, len(text)):
                costs = known.costs(text[:end], end, 0, MODEL.vocabulary.characters)
                assert costs[text[end]] == min(costs.values())
            words = {word for word in re.findall("[a-z]+", text.lower())[:-1] if len(word) < 6}
            assert set() < words <= {*re.findall("[a-z]+", (TEXT + OTHER).lower())}
    plain = Model(MODEL)  # without counts there is no known word
    asked = {"seed": 1, "counts": "none"}
    assert plain.generate(200, new_words=0, **asked) == plain.generate(200, new_words=1, **asked)
