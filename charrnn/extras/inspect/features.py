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
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]  # (T,)

TAB = 4  # columns
WIDEST = 100  # columns: a longer line says no more
_OPENING, _CLOSING = "([{", ")]}"
# a quote that one types stands for both ends; typographers' have two
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»"}
_NAME = re.compile(r"\b[A-Z][\w']*")
_ENDS_SENTENCE = re.compile(r"(?:^|[.!?:;\n]['\")\]]*\s*|\n\s*)$")


@dataclass(frozen=True)
class Feature:
    """Attributes: meaning, in a few words; values, from a text of T characters to T numbers."""

    meaning: str
    values: Callable[[str], Iterable[float]]

    def of(self, text: str) -> Values:
        return np.fromiter(self.values(text), np.float32, len(text))


def _quotes(text: str) -> Iterable[float]:
    closing = ""
    for place, character in enumerate(text):
        if closing and (character == closing or _is_empty_line(text, place)):
            closing = ""
        elif not closing:
            closing = _QUOTES.get(character, "")
        yield bool(closing)


def _single_quotes(text: str) -> Iterable[float]:
    """A quote opens after what is no letter and before what is no blank, on one line."""
    inside = False
    for place, character in enumerate(text):
        if character == "\n":
            inside = False
        elif character == "'":
            before, after = text[place - 1 : place], text[place + 1 : place + 2]
            if inside:
                inside = after.isalnum()
            else:
                inside = not before.isalnum() and not after.isspace() and after != ""
        yield inside


def _brackets(text: str) -> Iterable[float]:
    depth = 0
    for place, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        depth = 0 if depth < 0 or _is_empty_line(text, place) else depth
        yield depth


def _is_empty_line(text: str, place: int) -> bool:
    return text[place] == "\n" and text[place - 1 : place] == "\n"


def _column(text: str) -> Iterable[float]:
    column = 0
    for character in text:
        column = 0 if character == "\n" else column + 1
        yield min(column, WIDEST)


def _word_position(text: str) -> Iterable[float]:
    position = 0
    for character in text:
        position = position + 1 if character.isalpha() else 0
        yield position


def _word_ends(text: str) -> Iterable[float]:
    for place, character in enumerate(text):
        yield character.isalpha() and not text[place + 1 : place + 2].isalpha()


def _indentation(text: str) -> Iterable[float]:
    width, leading = 0, True
    for character in text:
        if character == "\n":
            width, leading = 0, True
        elif leading and character in " \t":
            width += TAB if character == "\t" else 1
        else:
            leading = False
        yield width


def _leading_blanks(text: str) -> Iterable[float]:
    leading = True
    for character in text:
        leading = character == "\n" or (leading and character in " \t")
        yield leading and character != "\n"


def _after_a_name(text: str) -> Iterable[float]:
    """From the end of a capitalized word that begins no sentence to the end of the next word.

    One in capitals only counts at the start of a line as well, as speakers of a play stand.
    """
    values = np.zeros(len(text))
    for name in _NAME.finditer(text):
        word, before = name.group(), text[max(0, name.start() - 4) : name.start()]
        begins = not before or _ENDS_SENTENCE.search(before) is not None
        if word == "I" or (begins and not (word.isupper() and len(word) > 1)):
            continue
        rest = re.compile(r"[^\w\n]+\w*").match(text, name.end())
        values[name.end() - 1 : rest.end() if rest else name.end()] = 1
    return values


def _after(sign: str) -> Callable[[str], Iterable[float]]:
    """From a sign to the end of its line."""

    def values(text: str) -> Iterable[float]:
        seen = False
        for character in text:
            seen = character != "\n" and (seen or character == sign)
            yield seen

    return values


def _since_empty_line(text: str) -> Iterable[float]:
    count = 0
    for place in range(len(text)):
        count = 0 if _is_empty_line(text, place) else count + 1
        yield float(np.log1p(count))


def _each(holds: Callable[[str], bool]) -> Callable[[str], Iterable[float]]:
    """What is said of a character by itself."""
    return lambda text: map(holds, text)


FEATURES: dict[str, Feature] = {
    "inside quotes": Feature('between " and ", or “ and ”', _quotes),
    "inside single quotes": Feature("between ' and ' on one line, no apostrophe", _single_quotes),
    "inside brackets": Feature("how many of ( [ { are open", _brackets),
    "position in the line": Feature("characters since the line began", _column),
    "position in the word": Feature("letters since the word began", _word_position),
    "word ends": Feature("a letter that no letter follows", _word_ends),
    "line ends": Feature("a line break", _each("\n".__eq__)),
    "blank": Feature("a blank or a tab", _each(" \t".__contains__)),
    "upper case": Feature("a capital letter", _each(str.isupper)),
    "digit": Feature("a digit", _each(str.isdigit)),
    "vowel": Feature("a, e, i, o or u", _each("aeiouAEIOU".__contains__)),
    "indentation": Feature("how far the line is indented", _indentation),
    "inside an indentation": Feature("the blanks that a line begins with", _leading_blanks),
    "after a name": Feature("a capitalized word within a sentence, and the next", _after_a_name),
    "after a colon": Feature("from a colon to the end of its line", _after(":")),
    "inside a comment": Feature("from # to the end of its line", _after("#")),
    "position in the paragraph": Feature(
        "logarithm of the characters since the last empty line", _since_empty_line
    ),
}
