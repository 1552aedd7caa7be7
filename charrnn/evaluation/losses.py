"""Per-character losses, their units, and the lines of a text by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.errors import make_non_finite_error
from charrnn.say import BITS_PER_NAT


@dataclass(frozen=True)
class Score:
    """Attributes: loss in nats per character; characters: how many were predicted."""

    loss: float
    characters: int

    @property
    def bits_per_character(self) -> float:
        return float(self.loss * BITS_PER_NAT)

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.loss))

    def to_dict(self) -> dict[str, float]:
        """In each unit."""
        names = ("loss", "bits_per_character", "perplexity")
        return {name: getattr(self, name) for name in names}

    def format_lines(self) -> list[str]:
        """The same for a person."""
        return [
            f"loss {self.loss:.4f} nats per character",
            f"{self.bits_per_character:.4f} bits per character",
            f"perplexity {self.perplexity:.4f}",
        ]


def require_finite(score: Score) -> Score:
    """The score itself.

    Raises:
        RunError: its loss is no number.
    """
    if not np.isfinite(score.loss):
        raise make_non_finite_error()
    return score


class LineLoss(NamedTuple):
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


def rank_lines_by_loss(text: str, losses: npt.NDArray[np.floating]) -> list[LineLoss]:
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
            bits = float(own.mean(dtype=np.float64) * BITS_PER_NAT)
            found.append(LineLoss(number, len(own), bits, line))
    return sorted(found, key=lambda line: (-line.bits_per_character, line.line))
