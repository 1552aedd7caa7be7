"""What a loss is made of, and what it is told in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from charrnn.data import Ids, SplitIds
from charrnn.generation.token_sampler import not_numbers

# float32 leaves the sum of a softmax within a hundredth of this
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Score:
    """Attributes: loss in nats per character; characters: how many were predicted."""

    loss: float
    characters: int

    @property
    def bits_per_character(self) -> float:
        return float(self.loss / np.log(2))

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.loss))


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
