"""A text in the characters that a model knows."""

from __future__ import annotations

import string

import pytest

from charrnn.text.unknown_characters import MARKS, fitted, places_of
from charrnn.text.vocabulary import Vocabulary

ASCII = Vocabulary(list(string.ascii_letters + " \n'\".-"))


@pytest.mark.parametrize(
    ("text", "skipped", "replaced"),
    [
        ("Zoë", "Zo", "Zoe"),
        ("don’t “go”", "dont go", 'don\'t "go"'),
        ("a—b…", "ab", "a-b..."),
        ("a\tb\u00a0c", "abc", "a b c"),
        ("ﬁn Straße", "n Strae", "fin Strasse"),
        ("a\r\nb", "a\nb", "a\nb"),
        ("smile 😀שלום\ud800", "smile ", "smile "),
        ("Ⅷ", "", "VIII"),
    ],
)
def test_left_out_or_replaced(text: str, skipped: str, replaced: str) -> None:
    assert fitted(text, ASCII, "skip").text == skipped
    assert fitted(text, ASCII, "replace").text == replaced
    marks = "".join(c for c in text if c in MARKS)
    assert marks or fitted(text, ASCII, "error") == (text, "")


def test_what_is_unknown_is_told_once_each() -> None:
    assert fitted("ëaëé", ASCII, "skip").unknown == "ëé"
    assert fitted("plain", ASCII, "replace") == ("plain", "")
    # the other case is nearer than nothing
    assert fitted("Éa", Vocabulary(list("ea")), "replace").text == "ea"
    assert fitted("ea", Vocabulary(list("EA")), "replace").text == "EA"


@pytest.mark.parametrize("unknown", ["skip", "replace"])
def test_each_id_has_the_place_of_what_it_was_read_for(unknown: str) -> None:
    text = "a😀b…c\ud800é"
    read = fitted(text, ASCII, unknown).text
    places = places_of(text, ASCII, unknown)
    assert len(places) == len(ASCII.encode(read))
    known = {"a": 0, "b": 2, "c": 4}
    assert {c: p for c, p in zip(read, places, strict=True) if c in known} == known
    assert places == ([0, 2, 4] if unknown == "skip" else [0, 2, 3, 3, 3, 4, 6])
    assert places_of("ab", ASCII, "error") == [0, 1]


def test_bytes_know_a_character_by_its_bytes_which_have_its_place() -> None:
    vocabulary = Vocabulary.from_tokens(["a", "[195]", "[169]"])
    assert fitted("aéè", vocabulary, "skip") == ("aé", "è")
    assert places_of("aéèa", vocabulary, "skip") == [0, 1, 1, 3]
