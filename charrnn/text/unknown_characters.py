"""A text in the characters that a model knows."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from charrnn.text.vocabulary import Vocabulary

# what typography writes, as a keyboard does
MARKS = {
    **dict.fromkeys("‘’‚‛′`´", "'"),
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "…": "...",
}


class Fitted(NamedTuple):
    """A text in known characters, and those of the original that were not, each once."""

    text: str
    unknown: str


def fitted(text: str, vocabulary: Vocabulary, unknown: str) -> Fitted:
    """The text in the characters of a vocabulary.

    Args:
        unknown: error: only marks of typography are replaced, by those of a keyboard; skip: what
            is unknown is left out; replace: it is the nearest known (as a keyboard writes it,
            without its accent, in the other case), a space where white space is unknown, or
            left out.
    """
    instead = _replacements(text, vocabulary, unknown)
    lacking = dict.fromkeys(c for c in text if ord(c) in instead) if instead else ()
    return Fitted(text.translate(instead), "".join(lacking))


def read_as(text: str, vocabulary: Vocabulary, unknown: str) -> dict[str, str | None]:
    """What each unknown character of a text is read as, "" where it is left out.

    Args:
        unknown: as for `fitted`; with error it is None, as a text with it is refused.
    """
    instead = _replacements(text, vocabulary, unknown)
    return {chr(code): None if unknown == "error" else new for code, new in instead.items()}


def places_of(text: str, vocabulary: Vocabulary, unknown: str) -> list[int]:
    """For each id of the fitted text, which character of the text itself it was read for.

    Args:
        unknown: as for `fitted`.
    """
    instead = _replacements(text, vocabulary, unknown)
    ids = {c: len(vocabulary.look_up(instead.get(ord(c), c))) for c in set(text)}
    return [place for place, c in enumerate(text) for _ in range(ids[c])]


def _replacements(text: str, vocabulary: Vocabulary, unknown: str) -> dict[int, str]:
    """What the characters of a text that a vocabulary lacks are read as, by code point."""
    if (vocabulary.look_up(text) >= 0).all():  # as nearly always, and quickly seen
        return {}
    lacking = [c for c in set(text) if (vocabulary.look_up(c) < 0).any()]
    if unknown == "error":
        nearest = {ord(c): _nearest(c, vocabulary) for c in lacking if c in MARKS}
        return {code: text for code, text in nearest.items() if text}
    return {ord(c): _nearest(c, vocabulary) if unknown == "replace" else "" for c in lacking}


def _nearest(character: str, vocabulary: Vocabulary) -> str:
    keyboard = MARKS.get(character, character)
    without_accents = "".join(
        c for c in unicodedata.normalize("NFKD", keyboard) if not unicodedata.combining(c)
    )
    space = " " if character.isspace() and character != "\r" else ""
    texts = (keyboard, without_accents)
    # the lower case of ß in upper case is ss
    cases = [case for text in texts for case in (text.upper().lower(), text.upper())]
    for text in (*texts, *cases, space):
        if text and (vocabulary.look_up(text) >= 0).all():
            return text
    return ""
