"""The options of charrnn's optimizer, schedules and callbacks.

Their constructors check their arguments with it, and have the defaults. The command line checks
the same ranges before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import (
    AT_LEAST_1,
    BELOW_1,
    LONGEST_CONTEXT,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_FRACTION,
    UNIT_INTERVAL,
    Range,
    between,
)

BETAS = Range(
    lambda value: len(value) == 2 and all(map(BELOW_1.accepts, value)),
    "must be two numbers, each at least 0 and below 1: [0.9,0.999]",
)


@dataclass(frozen=True)
class PartOptions:
    """Each option by its name, which means the same in every part that has it."""

    # Muon, and those that torch's optimizers have too
    lr: Annotated[float, POSITIVE]
    momentum: Annotated[float, BELOW_1]
    weight_decay: Annotated[float, NOT_NEGATIVE]
    betas: Annotated[list[float], BETAS]
    eps: Annotated[float, POSITIVE]
    iterations: Annotated[int, AT_LEAST_1]
    # schedules
    warmup_steps: Annotated[int, NOT_NEGATIVE]
    final_factor: Annotated[float, UNIT_INTERVAL]
    decay_every: Annotated[int, AT_LEAST_1]
    decay_factor: Annotated[float, POSITIVE_FRACTION]
    # CharacterCounts
    context: Annotated[int, between(1, LONGEST_CONTEXT)]
    characters: Annotated[int, NOT_NEGATIVE]
    words: Annotated[int, between(0, 64)]
    # Samples
    length: Annotated[int, NOT_NEGATIVE]
    # RunCheckpoints
    every: Annotated[int | None, AT_LEAST_1]
    keep_every: Annotated[int | None, AT_LEAST_1]
    # ReproducibleSteps
    threads: Annotated[int | None, AT_LEAST_1]
    tf32: bool | None
