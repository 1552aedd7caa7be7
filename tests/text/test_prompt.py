"""What a model reads before it writes: known characters, a passage, how a text uses its marks."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.text import prompt
from charrnn.text.punctuation import describe_punctuation, get_punctuation
from charrnn.text.vocabulary import Vocabulary
from tests.text.texts import BEGUN, QUOTED

ASCII = Vocabulary(list(string.ascii_letters + " \n'\".-"))


def test_straight_quotes_become_the_curly_ones_of_a_vocabulary() -> None:
    vocabulary = Vocabulary(list("abcno, (.)“”’t"))
    typed, curly = '"a on," b can\'t. ("a")', "“a on,” b can’t. (“a”)"
    assert prompt.fit_text(typed, vocabulary, "error").text == curly
    assert prompt.fit_text('"a"', Vocabulary(list("a")), "error") == ('"a"', "")


@pytest.mark.parametrize(
    ("text", "skipped", "replaced"),
    [
        ("Zoë", "Zo", "Zoe"),
        ("don’t “go”", 'don\'t "go"', 'don\'t "go"'),
        ("a—b…", "a-b...", "a-b..."),
        ("a\tb\u00a0c\r\nd", "abc\nd", "a b c\nd"),
        ("ﬁn Straße Ⅷ", "n Strae ", "fin Strasse VIII"),
        ("smile 😀שלום\ud800", "smile ", "smile "),
    ],
)
def test_unknown_characters_are_skipped_or_replaced(text: str, skipped: str, replaced: str) -> None:
    assert prompt.fit_text(text, ASCII, "skip").text == skipped
    assert prompt.fit_text(text, ASCII, "replace").text == replaced
    marks = "".join(c for c in text if c in prompt.KEYBOARD_MARKS)
    assert marks or prompt.fit_text(text, ASCII, "error") == (text, "")


@pytest.mark.parametrize(("text", "next_text"), BEGUN.items())
def test_a_text_begins_after_the_primer(text: str, next_text: str | tuple[str, ...]) -> None:
    chosen = prompt.choose_primer(text)
    after = [text[at:] for at in range(len(text)) if text[:at].endswith(chosen)]
    assert any(each.startswith(next_text) for each in after)


@given(st.text("ab. \n", max_size=1000))
def test_the_primer_is_a_part_of_any_text(text: str) -> None:
    chosen = prompt.choose_primer(text)
    assert chosen in text
    assert bool(chosen) == bool(text)
    assert len(chosen) <= prompt.PRIMER_CHARACTERS


def test_a_model_reads_the_known_characters_of_its_primer() -> None:
    vocabulary, longest = Vocabulary(["a", "b", "\n"]), [0] * prompt.PRIMER_CHARACTERS
    for primer, ids in (("a?b", [0, 1, 2]), ("a" * 10**6, [*longest, 2]), ("???", [])):
        assert list(prompt.encode_primer({"primer": primer}, vocabulary)) == ids


@pytest.mark.parametrize(("text", "pairs"), QUOTED.items())
def test_quotes_that_close_are_found(text: str, pairs: list[str]) -> None:
    assert describe_punctuation(text)["pairs"] == pairs


def test_marks_of_sentences_are_counted_but_not_those_of_code() -> None:
    text = "Er ging mit uns allen heim.\n是。她"
    assert describe_punctuation(text)["shares"] == {".": 1 / 31, "。": 1 / 31}
    assert describe_punctuation("a.b.c(d.e). F, g, h, i, j, k, l!")["shares"] == {"!": 1 / 32}
    assert describe_punctuation("山中相送，山月照弹琴。")["shares"] == {}


@pytest.mark.parametrize(
    "fact", [3, {"shares": {".": 7.0, "pairs": 3}}, {"shares": [], "pairs": ["ab"]}]
)
def test_punctuation_in_a_file_is_not_believed(fact: object) -> None:
    assert get_punctuation({"punctuation": fact}) == ({}, [])
