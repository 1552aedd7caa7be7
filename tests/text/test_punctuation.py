"""How texts use their marks."""

from __future__ import annotations

import pytest

from charrnn.text.punctuation import describe_punctuation, get_punctuation
from tests.text.texts import QUOTED


@pytest.mark.parametrize(("text", "pairs"), QUOTED.items())
def test_quotes_that_close_are_found(text: str, pairs: list[str]) -> None:
    assert describe_punctuation(text)["pairs"] == pairs


def test_marks_of_sentences_are_counted_but_not_those_of_code() -> None:
    assert describe_punctuation("Er ging heim.\n是。她")["shares"] == {".": 1 / 17, "。": 1 / 17}
    assert describe_punctuation("a.b.c(d.e). F!")["shares"] == {"!": 1 / 14}


@pytest.mark.parametrize(
    "fact", [3, {"shares": {".": 7.0, "pairs": 3}}, {"shares": [], "pairs": ["ab"]}]
)
def test_punctuation_in_a_file_is_not_believed(fact: object) -> None:
    assert get_punctuation({"punctuation": fact}) == ({}, [])
