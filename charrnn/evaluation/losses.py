"""Per-character losses, their units, and the lines of a text by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional as F

from charrnn.data import Ids, SplitIds
from charrnn.generation.token_sampler import not_numbers
from charrnn.say import BITS_PER_NAT

# float32 leaves the sum of a softmax within a hundredth of this
TOLERANCE = 1e-4


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

    def plain(self) -> dict[str, float]:
        """In each unit."""
        names = ("loss", "bits_per_character", "perplexity")
        return {name: getattr(self, name) for name in names}

    def lines(self) -> list[str]:
        """The same for a person."""
        return [
            f"loss {self.loss:.4f} nats per character",
            f"{self.bits_per_character:.4f} bits per character",
            f"perplexity {self.perplexity:.4f}",
        ]


def scored_ids(ids: Ids | SplitIds) -> SplitIds:
    """The ids (n,) of a text that has something to predict.

    Raises:
        ValueError: it has not.
    """
    if len(ids) < 2:
        raise ValueError("a loss needs at least 2 characters")
    return SplitIds(np.ascontiguousarray(ids)) if isinstance(ids, np.ndarray) else ids


def losses_of(logits: Tensor, targets: Tensor, *, normalized: bool = False) -> Tensor:
    """-ln p(target) (N, T) in float32, differentiable, of logits (N, T, V) and targets (N, T).

    Args:
        normalized: the logits are ln p already, as those of an ensemble are; they are then
            scored as they stand.

    Raises:
        AssertionError: what is scored does not sum to 1, which is a fault in charrnn: a loss
            that is lower than any model's could hide behind it. Logits that are infinite or
            not numbers pass, and so does the loss that they give.
    """
    log_probabilities = logits.float() if normalized else F.log_softmax(logits.float(), -1)
    losses = F.nll_loss(log_probabilities.flatten(0, 1), targets.flatten(), reduction="none")
    check(log_probabilities.detach())
    return losses.view(targets.shape)


def check(log_probabilities: Tensor) -> None:
    """Raise AssertionError unless each distribution (..., V) sums to 1."""
    off = (log_probabilities.exp().sum(-1) - 1).abs().amax()
    if (off > TOLERANCE).item():  # false where it is not a number
        raise AssertionError(f"a scored distribution is off from a sum of 1 by {off.item():.2g}")


def require_numbers(score: Score) -> Score:
    """The score itself.

    Raises:
        RunError: its loss is no number.
    """
    if not np.isfinite(score.loss):
        raise not_numbers()
    return score


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
            bits = float(own.mean(dtype=np.float64) * BITS_PER_NAT)
            found.append(Line(number, len(own), bits, line))
    return sorted(found, key=lambda line: (-line.bits_per_character, line.line))
