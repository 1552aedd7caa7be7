"""Learning-rate schedules that depend only on the step.

Each schedule is a torch scheduler that Lightning steps once per training step. It restores only
the step from a checkpoint. So the learning rate of a resumed or extended run always agrees with
the current `optimizer.lr` and schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from charrnn.options.ranges import check_ranges
from charrnn.options.training import PartOptions


class StepSchedule(LambdaLR):
    """The optimizer's initial learning rate, multiplied by a factor that depends on the step.

    The factor also rises from 0 in the first `warmup_steps`.
    """

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, factor: Callable[[int], float]
    ) -> None:
        check_ranges(PartOptions, warmup_steps=warmup_steps)

        def factor_with_warmup(step: int) -> float:
            warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
            return warmup * factor(step)

        super().__init__(optimizer, factor_with_warmup)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the step, and set the learning rate of the current options."""
        # LambdaLR expects an entry for each function; None keeps the current function.
        no_lambdas = {"lr_lambdas": [None] * len(self.lr_lambdas)}
        super().load_state_dict({**no_lambdas, **state_dict, "base_lrs": self.base_lrs})
        factors = [factor(self.last_epoch) for factor in self.lr_lambdas]
        self._last_lr = [base * f for base, f in zip(self.base_lrs, factors, strict=True)]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


def step(
    optimizer: Optimizer,
    *,
    steps_per_epoch: int,
    decay_every: int = 5,
    decay_factor: float = 0.5,
    warmup_steps: int = 0,
) -> StepSchedule:
    """Multiply the learning rate by `decay_factor` every `decay_every` epochs, as in torch-rnn.

    Args:
        warmup_steps: the number of steps in which the learning rate rises from 0.
    """
    check_ranges(PartOptions, decay_every=decay_every, decay_factor=decay_factor)

    def factor(step: int) -> float:
        # Epochs count from 0, because torch-rnn decays at the end of an epoch.
        return float(decay_factor ** (step // steps_per_epoch // decay_every))

    return StepSchedule(optimizer, warmup_steps, factor)


def cosine(
    optimizer: Optimizer,
    *,
    total_steps: int,
    final_factor: float = 0.1,
    warmup_steps: int = 0,
) -> StepSchedule:
    """Reduce the learning rate by half a cosine, to `final_factor` times its initial value."""
    check_ranges(PartOptions, final_factor=final_factor)

    def factor(step: int) -> float:
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        cosine_factor = (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2
        return final_factor + (1 - final_factor) * cosine_factor

    return StepSchedule(optimizer, warmup_steps, factor)


def linear(
    optimizer: Optimizer,
    *,
    total_steps: int,
    final_factor: float = 0.0,
    warmup_steps: int = 50,
) -> StepSchedule:
    """Reduce the learning rate linearly, to `final_factor` times its initial value."""
    check_ranges(PartOptions, final_factor=final_factor)

    def factor(step: int) -> float:
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 1 - (1 - final_factor) * min(1.0, max(0.0, progress))

    return StepSchedule(optimizer, warmup_steps, factor)


def constant(optimizer: Optimizer, *, warmup_steps: int = 0) -> StepSchedule:
    """Keep the learning rate constant after the warm-up."""
    return StepSchedule(optimizer, warmup_steps, lambda step: 1.0)
