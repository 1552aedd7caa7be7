"""What is said of each character of a text."""

from __future__ import annotations

import pytest

from charrnn.extras.inspect.features import FEATURES

CASES = {
    "inside quotes": ('a "bc" d', "00111000"),
    "inside single quotes": ("it's 'so' 'tis", "00000111001111"),
    "inside brackets": ("a(b[c])d)e", "0112210000"),
    "position in the line": ("ab\ncd", "12012"),
    "position in the word": ("ab-cde f", "12012301"),
    "word ends": ("ab c, d", "0101001"),
    "line ends": ("a\n\nb", "0110"),
    "blank": ("a b\tc\n", "010100"),
    "upper case": ("aBÇ1", "0110"),
    "digit": ("a12", "011"),
    "vowel": ("axEy", "1010"),
    "indentation": ("a\n  b c\n\td", "0012222044"),
    "inside an indentation": ("a b\n  c d", "000011000"),
    "after a name": ("so Anna went out", "0000001111110000"),
    "after a colon": ("a: b\nc", "011100"),
    "inside a comment": ("a # b\nc", "0011100"),
}


def digits(name: str, text: str) -> str:
    return "".join(str(int(value)) for value in FEATURES[name].of(text))


@pytest.mark.parametrize("name", CASES)
def test_each_feature(name: str) -> None:
    text, expected = CASES[name]
    assert digits(name, text) == expected


def test_all_are_tested() -> None:
    assert {*CASES, "position in the paragraph"} == set(FEATURES)
    values = FEATURES["position in the paragraph"].of("ab\n\nc")
    assert values.tolist() == pytest.approx([0.693, 1.099, 1.386, 0, 0.693], abs=1e-3)


def test_what_is_never_closed_ends_with_the_paragraph() -> None:
    assert digits("inside quotes", 'a "b\nc\n\nd "e" f') == "001111100011000"
    assert digits("inside brackets", "(a\n\nb") == "11100"


def test_typographers_quotes() -> None:
    assert digits("inside quotes", "“a “b” c „d“ «e»") == "1111100001100110"


def test_a_speaker_is_a_name_and_the_first_word_of_a_sentence_is_none() -> None:
    text = "ROMEO:\nThe sun. It is I, Anna."
    ends = [i for i, value in enumerate(FEATURES["after a name"].of(text)) if value]
    assert ends == [4, 5, *range(text.index("Anna") + 3, len(text))]


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("text", ["", "a", "\n", "\"('#:", "\udcff\0\u2028", "\n\n\n"])
def test_any_text_has_a_number_for_each_character(name: str, text: str) -> None:
    assert len(FEATURES[name].of(text)) == len(text)
