"""The rules of written text: marks, closed quotes, known words, and none with plain=true."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.model import Model
from charrnn.text.prompt import PRIMER_FACT
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Capture
from tests.generation.definition import Words, uniforms_of
from tests.generation.models import (
    TEXT,
    fill_weights,
    make_counted_model,
    make_model,
    make_torch_model,
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
    banned = Model(model).generate(1000, temperature=0.5, min_p=0, seed=1, ban=")")
    assert {*"()"} & {*banned} == {"("}


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


# plain=true: the softmax of the network's logits at a temperature, and nothing else

PLAIN = Model(replace(make_counted_model(), facts={PRIMER_FACT: "The rat.\n"}))


def write_plainly(start: str, length: int, temperature: float, seed: int) -> str:
    """Draw each character from softmax(logits / temperature), as torch-rnn did."""
    text = start
    for uniform in uniforms_of(seed, 0, length):
        logits = PLAIN.logits(text, counts="none")[-1].astype(np.float64)
        weights = np.exp((logits - logits.max()) / temperature)
        sums = weights.cumsum()
        text += PLAIN.vocabulary.characters[np.searchsorted(sums, uniform * sums[-1], "right")]
    return text[len(start) :]


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.7])
@pytest.mark.parametrize("start", ["T", "That rat.\n", "a      "])
def test_each_character_is_drawn_from_the_softmax_of_the_network(
    start: str, temperature: float
) -> None:
    """Check a text that counts, debts, new_words, min_p and the rule for blanks would change."""
    expected = write_plainly(start, 120, temperature, seed=3)
    asked: dict[str, Any] = {"temperature": temperature, "seed": 3}
    for model in (PLAIN, make_torch_model(PLAIN.trained)):
        assert model.generate(120, start, plain=True, **asked) == expected
        assert "".join(model.stream(120, start, plain=True, **asked)) == expected
        assert model.generate(120, start, **asked) != expected
    together = PLAIN.generate(120, start, plain=True, num_samples=2, **asked)
    assert together[0] == expected


def test_what_is_given_beside_it_applies_or_is_refused(path: Path, capfd: Capture) -> None:
    asked: dict[str, Any] = {"plain": True, "temperature": 1.5, "seed": 1}
    text = PLAIN.generate(200, "T", **asked)
    dry = {"dry_multiplier": 5.0, "dry_allowed_length": 1}
    for given in ({"top_k": 2}, {"top_p": 0.3}, {"ban": "aeiou"}, dry):
        assert PLAIN.generate(200, "T", **asked, **given) != text
    assert PLAIN.generate(200, "T", **asked, min_p=0, counts="none") == text
    for option in ({"min_p": 0.5}, {"new_words": 0.5}, {"counts": "only"}):
        (name,) = option
        with pytest.raises(InputError, match=rf"{name}.*: plain=true .*; leave one out"):
            PLAIN.generate(200, "T", **asked, **option)
    words = ["start_text=T", "length=50", "seed=1", "plain=true"]
    PLAIN.save(path)
    assert main(["sample", str(path), *words]) == 0
    assert capfd.readouterr().out == "T" + write_plainly("T", 50, 0.8, seed=1)
