"""Learning rates as plain functions of the step.

Each schedule is an ordinary torch scheduler that Lightning steps once a training step. What it
restores of a checkpoint is the step alone: the rate of a resumed or extended run is what
today's `optimizer.lr` and schedule say of that step, so it cannot drift from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from charrnn.options.ranges import AT_LEAST_1, NOT_NEGATIVE, POSITIVE_FRACTION, UNIT_INTERVAL


class StepSchedule(LambdaLR):
    """The optimizer's initial learning rate, times a factor that depends on the step alone."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        nothing = {"lr_lambdas": [None] * len(self.lr_lambdas)}
        super().load_state_dict({**nothing, **state_dict, "base_lrs": self.base_lrs})
        factors = [factor(self.last_epoch) for factor in self.lr_lambdas]
        self._last_lr = [base * f for base, f in zip(self.base_lrs, factors, strict=True)]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


def step(
    optimizer: Optimizer,
    *,
    steps_per_epoch: int,
    decay_every: Annotated[int, AT_LEAST_1] = 5,
    decay_factor: Annotated[float, POSITIVE_FRACTION] = 0.5,
    warmup_steps: Annotated[int, NOT_NEGATIVE] = 0,
) -> StepSchedule:
    """Multiply the rate by `decay_factor` every `decay_every` epochs, as torch-rnn does.

    Args:
        warmup_steps: steps over which the rate first rises from 0.
    """

    def factor(step: int) -> float:
        # torch-rnn decays when an epoch ends, so epochs count from 0 here
        return float(decay_factor ** (step // steps_per_epoch // decay_every))

    return _after_warmup(optimizer, warmup_steps, factor)


def cosine(
    optimizer: Optimizer,
    *,
    total_steps: int,
    final_factor: Annotated[float, UNIT_INTERVAL] = 0.1,
    warmup_steps: Annotated[int, NOT_NEGATIVE] = 0,
) -> StepSchedule:
    """Let the rate fall along half a cosine, to `final_factor` of the first one at the end."""

    def factor(step: int) -> float:
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        cosine_factor = (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2
        return final_factor + (1 - final_factor) * cosine_factor

    return _after_warmup(optimizer, warmup_steps, factor)


def linear(
    optimizer: Optimizer,
    *,
    total_steps: int,
    final_factor: Annotated[float, UNIT_INTERVAL] = 0.0,
    warmup_steps: Annotated[int, NOT_NEGATIVE] = 50,
) -> StepSchedule:
    """Let the rate fall along a line, to `final_factor` of the first one at the end."""

    def factor(step: int) -> float:
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 1 - (1 - final_factor) * min(1.0, max(0.0, progress))

    return _after_warmup(optimizer, warmup_steps, factor)


def constant(
    optimizer: Optimizer, *, warmup_steps: Annotated[int, NOT_NEGATIVE] = 0
) -> StepSchedule:
    """Leave the rate as it is after the warm-up."""
    return _after_warmup(optimizer, warmup_steps, lambda step: 1.0)


def _after_warmup(
    optimizer: Optimizer, warmup_steps: int, factor: Callable[[int], float]
) -> StepSchedule:
    def warmed_up(step: int) -> float:
        warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
        return warmup * factor(step)

    return StepSchedule(optimizer, warmed_up)
