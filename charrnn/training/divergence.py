"""Detect a diverged training, and keep track of the best validation loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from charrnn.errors import RunError


class NonFiniteGuard:
    """Records the first step with a non-finite loss or gradient, without waiting for the device."""

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def record(self, value: Tensor, step: int) -> None:
        """Record the loss () or the gradient norm () of a step."""
        if self._first is None:
            self._first = torch.full((), torch.inf, device=value.device)
        self._first = torch.where(value.isfinite(), self._first, self._first.clamp(max=step))

    def check(self, network: nn.Module, step: int, world_size: int) -> None:
        """Raise RunError if a recorded value, or a weight after `step`, is not finite.

        This waits for the device, so it is called on logged steps only.
        """
        if self._first is None:
            return
        if world_size > 1:
            # The loss may be infinite on one rank only, and all ranks must stop.
            torch.distributed.all_reduce(self._first, torch.distributed.ReduceOp.MIN)
        first_step = self._first.item()
        weights = torch.stack([p.detach().abs().sum() for p in network.parameters()])
        if first_step == torch.inf and not torch.isfinite(weights).all():
            first_step = step
        if first_step != torch.inf:
            raise RunError(
                f"training diverged: the loss or a gradient of step {int(first_step):,} is not "
                f"finite; try a smaller optimizer.lr or trainer.gradient_clip_val"
            )


MAX_LOSS = 20.0  # nats per character; a higher validation loss means that training diverged


@dataclass
class BestValidation:
    """The lowest validation loss so far (nats per character), and its step; step 0 means none."""

    loss: float = math.inf
    step: int = 0

    def update(self, loss: float, step: int) -> None:
        """Record a validation. Raise RunError if the loss is above `MAX_LOSS` or NaN."""
        if not loss <= MAX_LOSS:
            raise RunError(
                f"training diverged: after step {step:,} the validation loss is {loss:.4g} nats "
                f"per character; try a smaller optimizer.lr or trainer.gradient_clip_val"
            )
        if loss < self.loss:
            self.loss, self.step = loss, step
