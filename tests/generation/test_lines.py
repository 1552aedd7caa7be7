"""Lists of lines."""

from __future__ import annotations

from typing import Any

import pytest

from charrnn.errors import InputError
from charrnn.generation import sampler as lines
from charrnn.generation.sampler import Sampler, write_lines
from charrnn.model import Model
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

SHORT = Vocabulary(list("\nab "))  # whose lines are short, and often empty or the same


def sampler(**how: Any) -> Sampler:
    return Sampler(trained_model(**{"vocabulary": SHORT, "conviction": 1, **how}))


def options(**given: Any) -> SamplingParams:
    return SamplingParams(**{"length": 30, "num_samples": 40, "seed": 1, **given})


def test_each_is_the_next_sample_that_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = sampler()
    got = list(write_lines(writer, options()))
    assert len(got) == 40
    whole = Model(trained_model(vocabulary=SHORT, conviction=1)).generate(
        30, num_samples=got[-1].sample + 1, seed=1
    )
    expected: list[str] = []
    for text in whole:
        line, newline, _ = text.partition("\n")
        if newline and line.strip() and line.rstrip() not in expected:
            expected.append(line.rstrip())
    assert [line.text for line in got] == expected
    assert [line.text for line in write_lines(writer, options(num_samples=9))] == expected[:9]
    monkeypatch.setattr(lines, "_MAX_LINES", 5)
    monkeypatch.setattr(lines, "_MIN_LINES", 1)
    assert list(write_lines(writer, options())) == got


def test_what_is_known_is_left_out_after_a_start() -> None:
    """The known lines are bytes, the start is text."""
    writer = sampler(vocabulary=Vocabulary.from_tokens(["a", "\n", "[195]", "[169]"]))
    asked = options(start_text="é", num_samples=10)
    got = [line.text for line in write_lines(writer, asked)]
    known = {line.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")
             for line in got[:5]}  # fmt: skip
    others = [line.text for line in write_lines(writer, asked, known)]
    assert others[:5] == got[5:]
    assert all(line.startswith("é") for line in others)
    assert len(set(got)) == 10


def test_a_line_that_does_not_end_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    got = [line.text for line in write_lines(sampler(), options(length=3, num_samples=8))]
    assert got
    assert all(len(line) <= 3 for line in got)
    monkeypatch.setattr(lines, "MAX_REJECTED", 20)
    assert list(write_lines(sampler(), options(length=0))) == []


def test_it_ends_when_there_are_no_more() -> None:
    got = [line.text for line in write_lines(sampler(), options(length=2, num_samples=1000))]
    assert sorted(got) == [" a", " b", "a", "aa", "ab", "b", "ba", "bb"]
    assert len(list(write_lines(sampler(), options(sample=False)))) <= 1


@pytest.mark.parametrize(
    ("how", "given", "line"),
    [
        ({"vocabulary": Vocabulary(list("ab"))}, {}, "mode=lines: the model knows no newline"),
        ({}, {"until": "b"}, "until: a line ends"),
        ({}, {"start_text": "a\nb"}, "start_text: starts each line"),
        ({}, {"start_text": "c"}, "start_text: the character 'c'"),
        ({}, {"ban": "ab \n"}, "ban: every character"),
    ],
)
def test_what_cannot_be_is_refused_at_once(how: Any, given: Any, line: str) -> None:
    with pytest.raises(InputError, match=line):
        write_lines(sampler(**how), options(**given))
