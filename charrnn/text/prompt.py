"""What a model reads before it writes: a prompt in the characters that it knows, and the primer.

From the zero state a network's first characters are poor, since no text that it learnt from
began there. So a model carries a passage of real text, the primer, to begin from, and does not
print it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from charrnn.text.vocabulary import Vocabulary

PRIMER_CHARACTERS = 300  # an LSTM's state hardly depends on what stands further back
PRIMER_FACT = "primer"  # its name among a model's facts
_CANDIDATES = 2 * PRIMER_CHARACTERS

# what typography writes, as a keyboard does
KEYBOARD_MARKS = {
    **dict.fromkeys("‘’‚‛′`´", "'"),
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "…": "...",
}
# a keyboard's quotes in a text that has only curly ones: where they open, and where they close
CURLY_QUOTES = {'"': ("„“«»”", "”“»«"), "'": ("‘’", "’")}


class FittedText(NamedTuple):
    """A text in known characters, and those of the original that were not, each once."""

    text: str
    unknown: str


def fit_text(text: str, vocabulary: Vocabulary, unknown: str) -> FittedText:
    """The text in the characters of a vocabulary.

    Args:
        unknown: error: only marks of typography and of a keyboard stand for one another; skip: so
            they do, and what else is unknown is left out; replace: it is the nearest known (as a
            keyboard writes it, without its accent, in the other case), a space where white space
            is unknown, or left out.
    """
    table = _replacement_table(text, vocabulary, unknown)
    missing = dict.fromkeys(c for c in text if ord(c) in table) if table else ()
    for quote in CURLY_QUOTES.keys() & {*missing}:
        closing = [c for c in CURLY_QUOTES[quote][1] if (vocabulary.look_up(c) >= 0).all()]
        text = re.sub(rf"(?<=[^\s(\[—–-]){quote}", "".join(closing[:1]) or quote, text)
    return FittedText(text.translate(table), "".join(missing))


def find_replacements(text: str, vocabulary: Vocabulary, unknown: str) -> dict[str, str | None]:
    """What each unknown character of a text is read as, "" where it is left out.

    Args:
        unknown: as for `fit_text`; with error it is None where a text with it is refused.
    """
    table = _replacement_table(text, vocabulary, unknown)
    return {c: table.get(ord(c)) for c in set(text) if (vocabulary.look_up(c) < 0).any()}


def find_source_positions(text: str, vocabulary: Vocabulary, unknown: str) -> list[int]:
    """For each id of the fitted text, which character of the text itself it was read for.

    Args:
        unknown: as for `fit_text`.
    """
    table = _replacement_table(text, vocabulary, unknown)
    ids = {c: len(vocabulary.look_up(table.get(ord(c), c))) for c in set(text)}
    return [position for position, c in enumerate(text) for _ in range(ids[c])]


def _replacement_table(text: str, vocabulary: Vocabulary, unknown: str) -> dict[int, str]:
    """What the characters of a text that a vocabulary lacks are read as, by code point."""
    if (vocabulary.look_up(text) >= 0).all():  # as nearly always, and quickly seen
        return {}
    missing = [c for c in set(text) if (vocabulary.look_up(c) < 0).any()]
    replaced = [c for c in missing if unknown == "replace" or c in {*KEYBOARD_MARKS, *CURLY_QUOTES}]
    nearest = {ord(c): _nearest(c, vocabulary) for c in replaced}
    if unknown == "error":
        return {code: text for code, text in nearest.items() if text}
    return {**dict.fromkeys(map(ord, missing), ""), **nearest}


def _nearest(character: str, vocabulary: Vocabulary) -> str:
    keyboard = KEYBOARD_MARKS.get(character, character)
    without_accents = "".join(
        c for c in unicodedata.normalize("NFKD", keyboard) if not unicodedata.combining(c)
    )
    space = " " if character.isspace() and character != "\r" else ""
    texts = (keyboard, without_accents)
    # the lower case of ß in upper case is ss
    cases = [case for text in texts for case in (text.upper().lower(), text.upper())]
    for text in (*texts, *cases, space, *CURLY_QUOTES.get(keyboard, [""])[0]):
        if text and (vocabulary.look_up(text) >= 0).all():
            return text
    return ""


def get_primer_slice(size: int) -> slice:
    """The part of a text of `size` characters of which `primer_passage` chooses."""
    start = max(0, (size - _CANDIDATES) // 2)
    return slice(start, start + _CANDIDATES)


def choose_primer(text: str) -> str:
    """The passage of at most `PRIMER_CHARACTERS` that serves best as a primer.

    It ends with a paragraph where one ends late enough, else with a line; it begins with a line
    where one begins early enough.
    """
    half = PRIMER_CHARACTERS // 2
    for end in ("\n\n", "\n"):
        position = text.rfind(end)
        if position >= min(half, len(text) // 2):
            text = text[: position + len(end)]
            break
    text = text[-PRIMER_CHARACTERS:]
    begin = text.find("\n", 0, min(half, len(text) // 2)) + 1
    return text[begin:] or text


def encode_primer(facts: dict[str, Any], vocabulary: Vocabulary) -> Sequence[int]:
    """The ids (from 0) of a model's primer; none where it carries no text that it knows.

    Where it knows newlines, the last is one, so that what is written begins a line.
    """
    text = facts.get(PRIMER_FACT)
    if not isinstance(text, str) or not text:
        return []
    ids: list[int] = vocabulary.look_up(text[-PRIMER_CHARACTERS:]).tolist()
    ids = [id_ for id_ in ids if id_ >= 0]
    newline = vocabulary.look_up("\n").tolist()[0]
    if ids and newline >= 0 and ids[-1] != newline:
        ids.append(newline)
    return ids
