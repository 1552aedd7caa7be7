"""How texts use their marks."""

from __future__ import annotations

import pytest

from charrnn.text.punctuation import describe_punctuation, get_punctuation

# texts, and the pairs whose quotes close in them
QUOTED = {
    '"Yes," he said. "No."\nHe left.\n' * 3: ['""'],
    '"Yes," he said. "No."\n' * 2: [],  # too few
    '"Yes," he said.\n' * 9 + '"I speak.\n': ['""'],  # and go on in the next paragraph
    '"Yes," he said.\n' * 8 + '"I speak.\n': [],
    '"I quote: "You\n' * 3: [],  # opened twice
    'And so." He left.\n' * 3: [],  # closed, but not opened
    "„Ja“, sagte er (leise).\n" * 3: ["„“", "()"],
    "„Tak” (nie).\n" * 3: ["„”", "()"],
    "»Ja«, sagte er.\n1) Nein.\n" * 3: ["»«"],
    "« Oui », dit-il.\n「是。」\n" * 3: ["«»", "「」"],
}


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
