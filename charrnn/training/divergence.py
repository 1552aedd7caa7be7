"""The best validation of a run, and losses and numbers that tell of a divergence."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from charrnn.errors import RunError


class NonFiniteGuard:
    """Notes the first step whose loss or gradient is not finite; asked on logged steps only."""

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def record(self, loss: Tensor | None, norm: Tensor | None, step: int) -> None:
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
                f"training diverged: the loss or a gradient of step {int(bad):,} is not finite; "
                f"try a smaller optimizer.lr or trainer.gradient_clip_val"
            )


# nats per character: above it, a validation loss is no model's
HIGHEST = 20.0


@dataclass
class BestValidation:
    """The lowest validation loss so far (nats per character), and at which step; 0: none yet."""

    loss: float = math.inf
    step: int = 0

    def update(self, loss: float, step: int) -> None:
        """Take in a validation; RunError for a loss above `HIGHEST`, or that is no number."""
        if not loss <= HIGHEST:
            raise RunError(
                f"training diverged: after step {step:,} the validation loss is {loss:.4g} nats "
                f"per character; try a smaller optimizer.lr or trainer.gradient_clip_val"
            )
        if loss < self.loss:
            self.loss, self.step = loss, step
