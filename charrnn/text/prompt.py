"""Prepare the text that a model reads before it generates: the primer and the prompt.

From the zero state, a network's first characters are poor, because training hardly ever starts
there. So a model file contains a passage of real text, the primer. The model reads the primer
first and does not print it. A prompt is converted to the characters that the model knows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from charrnn.text.punctuation import SENTENCE_END
from charrnn.text.vocabulary import Vocabulary

PRIMER_CHARACTERS = 300  # an LSTM's state hardly depends on earlier characters
PRIMER_FACT = "primer"  # the key of the primer in a model's facts
_WINDOW = 40_000  # characters, from which the primer is chosen; few Python classes are longer

_BLANKS = r"[^\S\n]*"
_NEW_LINE = rf"\n(?={_BLANKS}[^\s)\]}}])"  # no line that only closes a block follows
# after which a primer may end, the best first
_PRIMER_ENDS = (
    rf"\n{_BLANKS}{_NEW_LINE}",  # an empty line
    rf"{SENTENCE_END}{_BLANKS}{_NEW_LINE}",  # a sentence at the end of a line
    SENTENCE_END,
    _NEW_LINE,
    r"\S(?=\s)",  # a word
)

# typographic marks, and the keyboard's characters for them
KEYBOARD_MARKS = {
    **dict.fromkeys("‘’‚‛′`´", "'"),
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "…": "...",
}
# the opening and the closing curly quotes that can replace a keyboard's quote
CURLY_QUOTES = {'"': ("„“«»”", "”“»«"), "'": ("‘’", "’")}


class FittedText(NamedTuple):
    """A text in known characters, and the unknown characters of the original, each once."""

    text: str
    unknown: str


def fit_text(text: str, vocabulary: Vocabulary, unknown: str) -> FittedText:
    """Convert a text to the characters of a vocabulary.

    Args:
        unknown: the treatment of unknown characters. Unknown typographic marks are always replaced
            by a keyboard's, and the reverse. ``error`` keeps all others, ``skip`` removes them, and
            ``replace`` replaces them by the nearest known character (without an accent, or in the
            other case; a space for white space) or else removes them.
    """
    table = _build_replacement_table(text, vocabulary, unknown)
    unknown_characters = dict.fromkeys(c for c in text if ord(c) in table) if table else ()
    for quote in CURLY_QUOTES.keys() & {*unknown_characters}:
        # A quote after a word is a closing one. The table replaces all others by opening ones.
        closing = [c for c in CURLY_QUOTES[quote][1] if (vocabulary.look_up(c) >= 0).all()]
        text = re.sub(rf"(?<=[^\s(\[—–-]){quote}", "".join(closing[:1]) or quote, text)
    return FittedText(text.translate(table), "".join(unknown_characters))


def _build_replacement_table(text: str, vocabulary: Vocabulary, unknown: str) -> dict[int, str]:
    """Return a table for `str.translate` that replaces the characters that a vocabulary lacks."""
    if (vocabulary.look_up(text) >= 0).all():  # nearly always true, and fast
        return {}
    missing = [c for c in set(text) if (vocabulary.look_up(c) < 0).any()]
    marks = {*KEYBOARD_MARKS, *CURLY_QUOTES}
    replaceable = [c for c in missing if unknown == "replace" or c in marks]
    nearest = {ord(c): _find_nearest(c, vocabulary) for c in replaceable}
    if unknown == "error":
        return {code: text for code, text in nearest.items() if text}
    return {**dict.fromkeys(map(ord, missing), ""), **nearest}


def _find_nearest(character: str, vocabulary: Vocabulary) -> str:
    """Return the known text that is most similar to an unknown character, or ""."""
    keyboard = KEYBOARD_MARKS.get(character, character)
    without_accents = "".join(
        c for c in unicodedata.normalize("NFKD", keyboard) if not unicodedata.combining(c)
    )
    space = " " if character.isspace() and character != "\r" else ""
    texts = (keyboard, without_accents)
    # upper().lower() turns ß into ss.
    cases = [case for text in texts for case in (text.upper().lower(), text.upper())]
    for text in dict.fromkeys((*texts, *cases, space, *CURLY_QUOTES.get(keyboard, [""])[0])):
        if text and (vocabulary.look_up(text) >= 0).all():
            return text
    return ""


def get_primer_slice(size: int) -> slice:
    """Return the middle part of a text of `size` characters, from which the primer is chosen."""
    start = max(0, (size - _WINDOW) // 2)
    return slice(start, start + _WINDOW)


def choose_primer(text: str) -> str:
    """Return the best primer, of at most `PRIMER_CHARACTERS`, in the middle part of a text.

    What the model writes looks like what follows the primer. So the primer ends where a text might
    begin: after an empty line, a sentence, a line or a word, in this order of preference, before
    the least indented line, and near the middle. The primer starts with a line, unless this would
    make it too short.
    """
    text = text[: _find_best_end(text)][-PRIMER_CHARACTERS:]
    start = text.find("\n", 0, min(PRIMER_CHARACTERS // 2, len(text) // 2)) + 1
    return text[start:] or text


def _find_best_end(text: str) -> int:
    """Return the best end of a primer: before the least indented line, and nearest the middle."""
    least = max(1, min(PRIMER_CHARACTERS, len(text)) // 2)
    middle = max(PRIMER_CHARACTERS, len(text) // 2)
    for pattern in _PRIMER_ENDS:
        matches = re.finditer(f"{pattern}(?=({_BLANKS}))", text)
        ends = [(len(match[1]), match.end()) for match in matches if match.end() >= least]
        if ends:
            return min((indentation, abs(end - middle), end) for indentation, end in ends)[-1]
    return len(text)


def get_primer(facts: dict[str, Any]) -> str:
    """Return the primer in a model's facts, which are not checked; "" if there is none."""
    text = facts.get(PRIMER_FACT)
    return text if isinstance(text, str) else ""


def encode_primer(facts: dict[str, Any], vocabulary: Vocabulary) -> Sequence[int]:
    """Return the ids of a model's primer, which count from 0. A model may have no primer.

    If the model knows the newline, the primer ends with one, so that the output starts a line.
    """
    ids: list[int] = vocabulary.look_up(get_primer(facts)[-PRIMER_CHARACTERS:]).tolist()
    ids = [id_ for id_ in ids if id_ >= 0]
    newline = vocabulary.look_up("\n").tolist()[0]
    if ids and newline >= 0 and ids[-1] != newline:
        ids.append(newline)
    return ids
