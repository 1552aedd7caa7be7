"""Recognize code by its indented lines and by its signs."""

from __future__ import annotations

INDENTED_SHARE, SIGNS_SHARE = 0.1, 0.03  # between prose with indented authors and code
SIGNS = frozenset("(){}[]<>=_+*/|\\&#$;")


def is_code(text: str) -> bool:
    """Return whether a text looks like code: indented lines, and signs of code."""
    lines = [line for line in text.split("\n") if line.strip()]
    indented = sum(line[0] in " \t" for line in lines)
    characters = "".join(text.split())
    signs = sum(character in SIGNS for character in characters)
    return indented > INDENTED_SHARE * len(lines) and signs > SIGNS_SHARE * len(characters)
