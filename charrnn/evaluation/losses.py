"""The loss of a text in several units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
