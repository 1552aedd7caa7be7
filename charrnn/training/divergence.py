"""Whether training has diverged, noticed without waiting for a number at each step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charrnn.errors import RunError


class Divergence:
    """Notes the first step whose loss or gradient is not finite; asked on logged steps only."""

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def watch(self, value: Tensor, step: int) -> None:
        """Take in a number () that is finite unless something went wrong in this step."""
        if self._first is None:
            self._first = torch.full((), torch.inf, device=value.device)
        finite = torch.isfinite(value)
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
