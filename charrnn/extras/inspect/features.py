"""Features of a text: a number for each character, with which units may correlate.

A feature is one entry of `FEATURES`: its name and meaning, which the page shows, and a function
from a text of T characters to T numbers. Number t describes the text up to and including
character t, so an opening quote is inside the quotes and a closing one is not. Only `word ends`
looks one character ahead, because models predict ends of words.

An empty line closes all quotes and brackets, so that a missing mark does not invert the feature
for the rest of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]  # (T,)
Function = Callable[[str], npt.NDArray[np.generic]]

TAB_WIDTH = 4  # columns
MAX_COLUMN = 100  # positions in longer lines are cut off
_LETTER = r"[^\W\d_]"
# opening and closing marks
_PAIRS = (('"', '"'), ("“", "”"), ("„", "“"), ("«", "»"))
_QUOTES = "|".join(rf"{left}(?:(?<!\n)\n|[^{right}\n])*" for left, right in _PAIRS)


class Feature(NamedTuple):
    """A feature: its meaning in a few words, and a function from T characters to (T,)."""

    meaning: str
    function: Function

    def compute(self, text: str) -> Values:
        return self.function(text).astype(np.float32)


def _test(test: Callable[[str], bool]) -> Function:
    """Make a feature that tests each character."""
    return lambda text: np.fromiter(map(test, text), bool, len(text))


def _mark(pattern: str) -> Function:
    """Make a feature that is 1 in the first group of each match of a pattern."""
    compiled = re.compile(pattern, re.MULTILINE)

    def mark(text: str) -> Values:
        values = np.zeros(len(text), np.float32)
        for match in compiled.finditer(text):
            values[match.start(1) : match.end(1)] = 1
        return values

    return mark


def _count_since(pattern: str) -> Function:
    """Make a feature that counts characters since the end of the last match of a pattern."""
    compiled = re.compile(pattern)

    def count(text: str) -> npt.NDArray[np.int64]:
        ends = np.full(len(text), -1)
        for match in compiled.finditer(text):
            ends[match.end() - 1] = match.end() - 1
        return np.arange(len(text)) - np.maximum.accumulate(ends)

    return count


_count_in_line, _count_in_paragraph = _count_since("\n"), _count_since(r"(?<=\n)\n")
_mark_leading_blanks = _mark(r"^([ \t]+)")


def _count_brackets(text: str) -> Values:
    values, depth = np.zeros(len(text), np.float32), 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        depth = 0 if depth < 0 or text[max(position - 1, 0) : position + 1] == "\n\n" else depth
        values[position] = depth
    return values


def _measure_indentation(text: str) -> npt.NDArray[np.int64]:
    widths = np.fromiter((TAB_WIDTH if c == "\t" else 1 for c in text), int, len(text))
    total = np.cumsum(np.where(_mark_leading_blanks(text), widths, 0))
    is_newline = _test("\n".__eq__)(text)
    return total - np.maximum.accumulate(np.where(is_newline, total, 0))


FEATURES: dict[str, Feature] = {
    "inside quotes": Feature('between " and ", or “ and ”', _mark(f'({_QUOTES})["”“»]?')),
    "inside single quotes": Feature(
        "between ' and ' on one line, no apostrophe",
        _mark(r"(?<![^\W_])('(?=\S)(?:[^'\n]|'(?=[^\W_]))*)'?"),
    ),
    "inside brackets": Feature("how many of ( [ { are open", _count_brackets),
    "position in the line": Feature(
        "characters since the line began", lambda text: _count_in_line(text).clip(max=MAX_COLUMN)
    ),
    "position in the word": Feature(
        "letters since the word began", _count_since(rf"(?!{_LETTER})(?s:.)")
    ),
    "word ends": Feature("a letter that no letter follows", _mark(rf"({_LETTER})(?!{_LETTER})")),
    "line ends": Feature("a line break", _test("\n".__eq__)),
    "blank": Feature("a blank or a tab", _test(" \t".__contains__)),
    "upper case": Feature("a capital letter", _test(str.isupper)),
    "digit": Feature("a digit", _test(str.isdigit)),
    "vowel": Feature("a, e, i, o or u", _test("aeiouAEIOU".__contains__)),
    "indentation": Feature("how far the line is indented", _measure_indentation),
    "inside an indentation": Feature("the blanks that a line begins with", _mark_leading_blanks),
    "after a colon": Feature("from a colon to the end of its line", _mark("(:[^\n]*)")),
    "inside a comment": Feature("from # to the end of its line", _mark("(#[^\n]*)")),
    "position in the paragraph": Feature(
        "logarithm of the characters since the last empty line",
        lambda text: np.log1p(_count_in_paragraph(text)),
    ),
}
