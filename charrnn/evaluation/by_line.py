"""The lines of a text by how badly they were predicted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Line(NamedTuple):
    """A line of a text.

    Attributes:
        line: its number, from 1.
        characters: how many of it have a loss, its end among them.
        bits_per_character: the mean of these.
        text: the line without its end.
    """

    line: int
    characters: int
    bits_per_character: float
    text: str


def strangest_first(text: str, losses: npt.NDArray[np.floating]) -> list[Line]:
    r"""Its lines, the worst predicted first; those of white space alone are left out.

    Args:
        text: (n,) characters, whose lines end in \n.
        losses: (n,), in nats, of each character; not a number where there is none.
    """
    found, start = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        own = losses[start : start + len(line) + 1]
        start += len(own)
        own = own[~np.isnan(own)]
        if line.strip() and len(own):
            bits = float(own.mean(dtype=np.float64) / np.log(2))
            found.append(Line(number, len(own), bits, line))
    return sorted(found, key=lambda line: (-line.bits_per_character, line.line))
