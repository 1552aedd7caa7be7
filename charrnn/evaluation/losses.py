"""Losses in several units, and the lines of a text ranked by their loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.say import BITS_PER_NAT


@dataclass(frozen=True)
class Score:
    """The mean `loss` of a text, in nats per character, over its predicted `characters`."""

    loss: float
    characters: int

    @property
    def bits_per_character(self) -> float:
        return float(self.loss * BITS_PER_NAT)

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.loss))

    def to_dict(self) -> dict[str, float]:
        """Return the loss in all units, under the keys of the commands' JSON."""
        names = ("loss", "bits_per_character", "perplexity")
        return {name: getattr(self, name) for name in names}

    def format_lines(self) -> list[str]:
        """Format the loss in all units for a terminal."""
        return [
            f"loss {self.loss:.4f} nats per character",
            f"{self.bits_per_character:.4f} bits per character",
            f"perplexity {self.perplexity:.4f}",
        ]


class LineLoss(NamedTuple):
    """The loss of a line of a text."""

    line: int  # the line number, from 1
    characters: int  # the number of characters with a loss, including the line end
    bits_per_character: float  # the mean loss of these characters
    text: str  # the line without its end


def rank_lines_by_loss(text: str, losses: npt.NDArray[np.floating]) -> list[LineLoss]:
    r"""Return the lines of a text by descending loss, without lines of white space only.

    Args:
        text: n characters, whose lines end with \n.
        losses: the loss (n,) of each character in nats; NaN if a character has none.
    """
    lines, start = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        line_losses = losses[start : start + len(line) + 1]
        start += len(line_losses)
        line_losses = line_losses[~np.isnan(line_losses)]
        if line.strip() and len(line_losses):
            bits = float(line_losses.mean(dtype=np.float64) * BITS_PER_NAT)
            lines.append(LineLoss(number, len(line_losses), bits, line))
    return sorted(lines, key=lambda line: (-line.bits_per_character, line.line))
