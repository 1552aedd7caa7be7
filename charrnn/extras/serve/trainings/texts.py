"""Check the texts that clients send, and their names."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

from charrnn.errors import InputError
from charrnn.text.lists import HEAD, is_list
from charrnn.text.prompt import PRIMER_FACT, is_code
from charrnn.text.sources import decode_files

LONGEST_NAME = 50  # characters
_ADVICE = "save it as plain text in UTF-8"
_MARKUP = set('<>&"/\\')


def check_name(name: str) -> str:
    """Return a name without blanks around it. Raise InputError for a path or for markup."""
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise InputError(f"name: needs 1 to {LONGEST_NAME} characters")
    if name.startswith(".") or _MARKUP & {*name} or not name.isprintable():
        raise InputError('name: may have letters, digits and blanks, but none of < > & " / \\')
    return name


def number_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the name itself, or with a number."""
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _decode(path: Path, name: str) -> Iterator[str]:
    """Yield the pieces of a text. Raise InputError, without the name of an option, for no text."""
    try:
        for piece in decode_files([path], "utf-8"):
            if "\0" in piece:
                raise InputError(f"{path}: is not a text")
            yield piece
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ").partition("; ")[0]
        raise InputError(f"{name}: {reason}; {_ADVICE}") from None


def read_text_facts(path: Path, name: str) -> tuple[int, str]:
    """Return the number of characters of a text, and its kind: "text", "list" or "code".

    Raise InputError for a file that is no text in UTF-8. Its line names no option.
    """
    characters, head = 0, ""
    for piece in _decode(path, name):
        characters += len(piece)
        if len(head) < HEAD:
            head = (head + piece)[:HEAD]
    if characters < 2:
        raise InputError(f"{name}: the text is {'too short' if characters else 'empty'}")
    if is_list(head.rpartition("\n")[0] if characters > HEAD else head):
        return characters, "list"
    return characters, "code" if is_code({PRIMER_FACT: head}) else "text"
