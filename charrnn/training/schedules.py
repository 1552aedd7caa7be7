"""The learning rate as a plain function of the step.

A pure function, rather than a scheduler with a state of its own, cannot drift from the
step it belongs to: a resumed or extended run asks it the same question.
"""

from __future__ import annotations

import math

from charrnn.options import ScheduleOptions


def learning_rate(
    step: int, base: float, schedule: ScheduleOptions, windows: int, total_steps: int
) -> float:
    """The learning rate that step number `step` (from 0) is trained with.

    Args:
        base: ``optimizer.lr``.
        windows: steps in an epoch.
        total_steps: steps in the whole run; only the cosine depends on it.
    """
    warmup = schedule.warmup_steps
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return base * rise * _factor(step, schedule, windows, total_steps)


def _factor(step: int, schedule: ScheduleOptions, windows: int, total_steps: int) -> float:
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "step":
        # torch-rnn decays when an epoch ends, so epochs count from 0 here
        epoch = step // windows
        return float(schedule.decay_factor ** (epoch // schedule.decay_every))
    warmup = schedule.warmup_steps
    progress = min(1.0, max(0.0, (step - warmup) / max(1, total_steps - warmup)))
    swing = (1 + math.cos(math.pi * progress)) / 2
    return schedule.final_factor + (1 - schedule.final_factor) * swing
