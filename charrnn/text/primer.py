"""The primer: a passage of real text that a model reads before it writes.

From the zero state a network's first characters are poor, since no text that it learnt from
began there. A model carries this passage to begin from instead, and does not print it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charrnn.text.vocabulary import Vocabulary

PRIMER_CHARACTERS = 300  # an LSTM's state hardly depends on what stands further back
FACT = "primer"  # its name among a model's facts
_LOOKED_AT = 2 * PRIMER_CHARACTERS


def middle(size: int) -> slice:
    """The part of a text of `size` characters of which `passage` chooses."""
    start = max(0, (size - _LOOKED_AT) // 2)
    return slice(start, start + _LOOKED_AT)


def passage(text: str) -> str:
    """The passage of at most `PRIMER_CHARACTERS` that serves best as a primer.

    It ends with a paragraph where one ends late enough, else with a line; it begins with a line
    where one begins early enough.
    """
    half = PRIMER_CHARACTERS // 2
    for end in ("\n\n", "\n"):
        found = text.rfind(end)
        if found >= min(half, len(text) // 2):
            text = text[: found + len(end)]
            break
    text = text[-PRIMER_CHARACTERS:]
    begin = text.find("\n", 0, min(half, len(text) // 2)) + 1
    return text[begin:] or text


def primer_of(facts: dict[str, Any], vocabulary: Vocabulary) -> Sequence[int]:
    """The ids (from 0) of a model's primer; none where it carries no text that it knows.

    Where it knows newlines, the last is one, so that what is written begins a line.
    """
    text = facts.get(FACT)
    if not isinstance(text, str) or not text:
        return []
    ids: list[int] = vocabulary.look_up(text[-PRIMER_CHARACTERS:]).tolist()
    known = [id_ for id_ in ids if id_ >= 0]
    newline = vocabulary.look_up("\n").tolist()[0]
    if known and newline >= 0 and known[-1] != newline:
        known.append(newline)
    return known
