"""The best validation of a run, and whether its losses or its numbers tell of a divergence."""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from charrnn.errors import RunError


class NonFiniteGuard:
    """Notes the first step whose loss or gradient is not finite; asked on logged steps only."""

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def watch(self, loss: Tensor | None, norm: Tensor | None, step: int) -> None:
        """Take in a step's loss () and its gradient's norm (); None is not watched."""
        numbers = [number for number in (loss, norm) if number is not None]
        if not numbers:
            return
        if self._first is None:
            self._first = torch.full((), torch.inf, device=numbers[0].device)
        finite = functools.reduce(torch.logical_and, map(torch.isfinite, numbers))
        self._first = torch.where(finite, self._first, self._first.clamp(max=step))

    def check(self, network: nn.Module, step: int, world_size: int) -> None:
        """Raise RunError if a number so far, or a weight after `step`, was not finite."""
        if self._first is None:
            return
        first = self._first.clone()
        if world_size > 1:
            # one loss may be infinite alone, and all must stop
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
        bad = first.item()
        weights = torch.stack([p.detach().abs().sum() for p in network.parameters()])
        if bad == torch.inf and not torch.isfinite(weights).all():
            bad = step
        if bad != torch.inf:
            raise RunError(
                f"training diverged: the loss or a gradient of step {int(bad)} is not finite; "
                f"try a smaller optimizer.lr or trainer.gradient_clip_val"
            )


# a loss of more than so many times that of guessing is no model's
ABSURD = 5


@dataclass
class Best:
    """The lowest validation loss so far (nats per character), and at which step; 0: none yet.

    Attributes:
        first: the loss of the run's first validation; None: there was none.
        absurd: how many validations in a row were absurd, and no better than the first, up to now.
    """

    loss: float = float("inf")
    step: int = 0
    first: float | None = None
    absurd: int = 0

    @property
    def is_missing(self) -> bool:
        """Whether there were validations, and none that a model could be of."""
        return self.first is not None and not self.step

    @staticmethod
    def limit(vocabulary_size: int) -> float:
        """The highest loss that is not absurd."""
        return ABSURD * math.log(vocabulary_size)

    def update(self, loss: float, step: int, vocabulary_size: int) -> None:
        """Take in a validation.

        One of more than 5 ln V, or that is no number, is absurd, and never the best.

        Raises:
            RunError: the second in a row that is, and above that of the first validation.
        """
        is_absurd = not loss <= self.limit(vocabulary_size)
        is_first, self.first = self.first is None, loss if self.first is None else self.first
        self.absurd = self.absurd + 1 if is_absurd and (is_first or not loss <= self.first) else 0
        if self.absurd == 2:
            raise diverged(f"after step {step} the validation loss is {loss:.4g}", vocabulary_size)
        if not is_absurd and loss < self.loss:
            self.loss, self.step = loss, step

    def plain(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> Best:
        first = content.get("first")
        return cls(
            float(content["loss"]),
            int(content["step"]),
            None if first is None else float(first),
            int(content.get("absurd", 0)),
        )


def diverged(what: str, vocabulary_size: int) -> RunError:
    """The end of a run whose validations were absurd."""
    return RunError(
        f"training diverged: {what} nats per character, where guessing has "
        f"{math.log(vocabulary_size):.2f}; try a smaller optimizer.lr or trainer.gradient_clip_val"
    )
