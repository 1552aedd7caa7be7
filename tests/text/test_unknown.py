"""A text in the characters that a model knows."""

from __future__ import annotations

import string

import pytest

from charrnn.text.unknown import fitted
from charrnn.text.vocabulary import Vocabulary

ASCII = Vocabulary(list(string.ascii_letters + " \n'\".-"))


@pytest.mark.parametrize(
    ("text", "skipped", "replaced"),
    [
        ("Zoë", "Zo", "Zoe"),
        ("don’t “go”", "dont go", 'don\'t "go"'),
        ("a—b…", "ab", "a-b..."),
        ("a\tb\u00a0c", "abc", "a    b c"),
        ("ﬁn Straße", "n Strae", "fin Strasse"),
        ("a\r\nb", "a\nb", "a\nb"),
        ("smile 😀שלום\ud800", "smile ", "smile "),
        ("Ⅷ", "", "VIII"),
    ],
)
def test_left_out_or_replaced(text: str, skipped: str, replaced: str) -> None:
    assert fitted(text, ASCII, "skip").text == skipped
    assert fitted(text, ASCII, "replace").text == replaced
    assert fitted(text, ASCII, "error") == (text, "")


def test_what_is_unknown_is_told_once_each() -> None:
    assert fitted("ëaëé", ASCII, "skip").unknown == "ëé"
    assert fitted("plain", ASCII, "replace") == ("plain", "")


def test_the_other_case_is_nearer_than_nothing() -> None:
    assert fitted("Éa", Vocabulary(list("ea")), "replace").text == "ea"
    assert fitted("ea", Vocabulary(list("EA")), "replace").text == "EA"


def test_bytes_know_a_character_by_its_bytes() -> None:
    vocabulary = Vocabulary.from_tokens(["a", "[195]", "[169]"])
    assert fitted("aéè", vocabulary, "skip") == ("aé", "è")
