"""What is said of each character of a text."""

from __future__ import annotations

import pytest

from charrnn.extras.inspect.features import FEATURES

CASES = [
    ("inside quotes", 'a "bc" d', "00111000"),
    ("inside quotes", 'a "b\nc\n\nd "e" f', "001111100011000"),
    ("inside quotes", "“a “b” c „d“ «e»", "1111100001100110"),
    ("inside single quotes", "it's 'so' 'tis", "00000111001111"),
    ("inside brackets", "a(b[c])d)e", "0112210000"),
    ("inside brackets", "(a\n\nb", "11100"),
    ("position in the line", "ab\ncd", "12012"),
    ("position in the word", "ab-cde f", "12012301"),
    ("word ends", "ab c, d", "0101001"),
    ("line ends", "a\n\nb", "0110"),
    ("blank", "a b\tc\n", "010100"),
    ("upper case", "aBÇ1", "0110"),
    ("digit", "a12", "011"),
    ("vowel", "axEy", "1010"),
    ("indentation", "a\n  b c\n\td", "0012222044"),
    ("inside an indentation", "a b\n  c d", "000011000"),
    ("after a colon", "a: b\nc", "011100"),
    ("inside a comment", "a # b\nc", "0011100"),
    ("position in the paragraph", "ab\n\nc", "01100"),  # logarithms, cut
]


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_each_feature(name: str, text: str, expected: str) -> None:
    assert "".join(str(int(value)) for value in FEATURES[name].of(text)) == expected


def test_any_text_has_a_number_for_each_character() -> None:
    assert {name for name, _, _ in CASES} == set(FEATURES)
    for feature in FEATURES.values():
        for text in ("", "a", "\n", "\"('#:", "\udcff\0\u2028", "\n\n\n"):
            assert len(feature.of(text)) == len(text)
