"""What can be said of each character of a text, as a number, that a unit may follow.

A feature is one entry of `FEATURES`: its name, which the page shows, what it means, and a
function from a text of T characters to T numbers. Number t is what is known once character t
has been read: so an opening quote is inside already, a closing one no more. Only `word ends`
looks one character ahead, since it is what a model foresees.

What is open (a quote, a bracket) is closed by an empty line, lest one that is never closed
turn the rest of a text inside out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]  # (T,)
Function = Callable[[str], npt.NDArray[np.generic]]

TAB = 4  # columns
WIDEST = 100  # columns: a longer line says no more
_LETTER = r"[^\W\d_]"
# a quote that one types stands for both ends; typographers' have two
_QUOTES = "|".join(rf"{one}(?:(?<!\n)\n|[^{end}\n])*" for one, end in ('""', "“”", "„“", "«»"))


class Feature(NamedTuple):
    """Attributes: meaning, in a few words; function, from a text of T characters to (T,)."""

    meaning: str
    function: Function

    def of(self, text: str) -> Values:
        return self.function(text).astype(np.float32)


def _each(holds: Callable[[str], bool]) -> Function:
    """What is said of a character by itself."""
    return lambda text: np.fromiter(map(holds, text), bool, len(text))


def _within(pattern: str) -> Function:
    """1 in the first group of each match of a pattern."""
    compiled = re.compile(pattern, re.MULTILINE)

    def values(text: str) -> Values:
        values = np.zeros(len(text), np.float32)
        for match in compiled.finditer(text):
            values[match.start(1) : match.end(1)] = 1
        return values

    return values


def _since(pattern: str) -> Function:
    """How many characters there are since the last that ends a match, which has 0 itself."""
    compiled = re.compile(pattern)

    def values(text: str) -> npt.NDArray[np.int64]:
        ends = np.full(len(text), -1)
        for match in compiled.finditer(text):
            ends[match.end() - 1] = match.end() - 1
        return np.arange(len(text)) - np.maximum.accumulate(ends)

    return values


_line, _paragraph = _since("\n"), _since(r"(?<=\n)\n")
_leading_blanks = _within(r"^([ \t]+)")


def _brackets(text: str) -> Values:
    values, depth = np.zeros(len(text), np.float32), 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        depth = 0 if depth < 0 or text[max(place - 1, 0) : place + 1] == "\n\n" else depth
        values[place] = depth
    return values


def _indentation(text: str) -> npt.NDArray[np.int64]:
    widths = np.fromiter((TAB if character == "\t" else 1 for character in text), int, len(text))
    total = np.cumsum(np.where(_leading_blanks(text), widths, 0))
    begins = _each("\n".__eq__)(text)
    return total - np.maximum.accumulate(np.where(begins, total, 0))


FEATURES: dict[str, Feature] = {
    "inside quotes": Feature('between " and ", or “ and ”', _within(f'({_QUOTES})["”“»]?')),
    "inside single quotes": Feature(
        "between ' and ' on one line, no apostrophe",
        _within(r"(?<![^\W_])('(?=\S)(?:[^'\n]|'(?=[^\W_]))*)'?"),
    ),
    "inside brackets": Feature("how many of ( [ { are open", _brackets),
    "position in the line": Feature(
        "characters since the line began", lambda text: _line(text).clip(max=WIDEST)
    ),
    "position in the word": Feature(
        "letters since the word began", _since(rf"(?!{_LETTER})(?s:.)")
    ),
    "word ends": Feature("a letter that no letter follows", _within(rf"({_LETTER})(?!{_LETTER})")),
    "line ends": Feature("a line break", _each("\n".__eq__)),
    "blank": Feature("a blank or a tab", _each(" \t".__contains__)),
    "upper case": Feature("a capital letter", _each(str.isupper)),
    "digit": Feature("a digit", _each(str.isdigit)),
    "vowel": Feature("a, e, i, o or u", _each("aeiouAEIOU".__contains__)),
    "indentation": Feature("how far the line is indented", _indentation),
    "inside an indentation": Feature("the blanks that a line begins with", _leading_blanks),
    "after a colon": Feature("from a colon to the end of its line", _within("(:[^\n]*)")),
    "inside a comment": Feature("from # to the end of its line", _within("(#[^\n]*)")),
    "position in the paragraph": Feature(
        "logarithm of the characters since the last empty line",
        lambda text: np.log1p(_paragraph(text)),
    ),
}
