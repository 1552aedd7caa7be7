"""What a training is where its options leave it open: size, dropout, streams and steps.

conf/by_length.yaml says it by the length of the text. With `budget=10m` the largest network of
its row is taken that this machine, whose speed is measured, can train in that time. An option
that is given stays. It is chosen once, when a run begins, and recorded: a resume goes by that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import OmegaConf

from charrnn.data import fitting_sizes
from charrnn.options.ranges import seconds_of
from charrnn.options.training import TrainOptions, not_none
from charrnn.plugins import CONF
from charrnn.say import duration, say

BY_LENGTH = CONF / "by_length.yaml"
# of a budget, what is trained and validated in; the rest is for measuring, checkpoints, samples
# and a machine that others use too
TRAINING_SHARE = 0.85
# a network is taken for a budget that sees so much of what its row says, and trained so much
LEAST_SHARE, MOST_SHARE = 0.7, 1.2
# scoring a character takes no more than this share of the time of training one (measured: 0.32
# to 0.38), and all validations together no more than that share of a training
SCORING_COST, VALIDATION_SHARE = 0.4, 0.15
VALIDATIONS, LEAST_STEPS_BETWEEN = 15, 50
USUAL_SEQ_LENGTH = 64  # of which the rows speak
# what stands for the choices where the text is not known yet
GUESS_CHARACTERS = 1_000_000

# characters that are trained in a second by a network of such options
SpeedOf = Callable[[TrainOptions], float]


@dataclass(frozen=True)
class Row:
    """A network for a text of some length; one of `passes` and `steps` is given."""

    hidden_size: int
    dropout: float
    batch_size: int
    passes: float | None = None
    steps: int | None = None
    usual: bool = False

    def trained(self, characters: int) -> float:
        """Characters that it reads in all of a text of so many."""
        if self.steps is not None:
            return self.steps * self.batch_size * USUAL_SEQ_LENGTH
        return not_none(self.passes) * characters

    def fill(self, config: TrainOptions) -> TrainOptions:
        """The config with its size, dropout and streams where those are open."""
        data, model = config.data, config.model
        if data.batch_size is None:
            data = replace(data, batch_size=self.batch_size)
        if model.hidden_size is None:
            model = replace(model, hidden_size=self.hidden_size)
        if model.dropout is None:
            model = replace(model, dropout=self.dropout)
        return replace(config, data=data, model=model)


@functools.cache
def rows(characters: int) -> list[Row]:
    """The networks for a text of so many characters, smallest first."""
    content: Any = OmegaConf.to_container(OmegaConf.load(BY_LENGTH))
    return [Row(**row) for row in content[max(n for n in content if n <= characters)]]


def default_row(characters: int, hidden_size: int | None = None) -> Row:
    """The network that is trained without a budget, or the one nearest to a size that is given."""
    candidates = rows(characters)
    if hidden_size is not None:
        return min(candidates, key=lambda row: abs(row.hidden_size - hidden_size))
    return next(row for row in candidates if row.usual)


def with_default_sizes(config: TrainOptions) -> TrainOptions:
    """The config with a guess in place of what is resolved only once the text is known."""
    return default_row(GUESS_CHARACTERS).fill(config)


def resolve(
    config: TrainOptions, characters: int, validated: int, speed_of: SpeedOf
) -> TrainOptions:
    """The config with all that it leaves open, which is said in a line or two.

    Args:
        characters, validated: of the text, to train on and to validate on.
        speed_of: measures this machine; called for a budget that is not decided yet.
    """
    trainer = config.trainer
    is_open = trainer.max_epochs is None and trainer.max_steps is None
    if config.budget is None or not is_open:
        row = default_row(characters, config.model.hidden_size)
        config = row.fill(config)
        steps, line = _steps(row, config, characters), "for a text of this length"
    else:
        row, speed = _affordable(config, characters, speed_of)
        config = row.fill(config)
        steps = _steps_in_budget(config, characters, validated, speed)
        steps = min(steps, max(1, int(MOST_SHARE * _steps(row, config, characters))))
        seconds = steps * _characters_a_step(config, characters) / speed
        line = f"budget={config.budget}, about {duration(seconds)} at {speed:,.0f} characters/s"
    if is_open:
        config = replace(config, trainer=replace(config.trainer, max_steps=steps))
        data, model = config.data, config.model
        say(
            f"{line}: {model.hidden_size} units, dropout {model.dropout:g}, {steps:,} steps of "
            f"{data.batch_size} x {data.seq_length} characters"
        )
    if config.checkpoint_every is None:
        every = _steps_between_validations(config, characters, validated)
        config = replace(config, checkpoint_every=every)
    return config


def _affordable(config: TrainOptions, characters: int, speed_of: SpeedOf) -> tuple[Row, float]:
    """The largest network that sees enough in the time, and its speed; else the smallest."""
    seconds = TRAINING_SHARE * seconds_of(not_none(config.budget))
    hidden_size = config.model.hidden_size
    given = [default_row(characters, hidden_size)] if hidden_size is not None else None
    smallest, *larger = given or rows(characters)
    chosen = smallest, speed_of(smallest.fill(config))
    for row in larger:
        speed = speed_of(row.fill(config))
        if speed * seconds < LEAST_SHARE * row.trained(characters):
            break  # none that is larger is measured, which would take longer
        chosen = row, speed
    return chosen


def _steps_in_budget(config: TrainOptions, characters: int, validated: int, speed: float) -> int:
    """Steps that a budget has time for, with their validations."""
    seconds = TRAINING_SHARE * seconds_of(not_none(config.budget))
    possible = seconds * speed
    last = min(SCORING_COST * validated, possible / 2)  # a run ends with a validation
    if config.validate_every:  # as often as was asked for, and else a share of the time
        cost = SCORING_COST * validated / config.validate_every
    else:
        cost = VALIDATION_SHARE * _characters_a_step(config, characters) if validated else 0.0
    return max(1, int((possible - last) / (_characters_a_step(config, characters) + cost)))


def _steps_between_validations(config: TrainOptions, characters: int, validated: int) -> int:
    """Steps from one validation and checkpoint to the next."""
    a_step = _characters_a_step(config, characters)
    epochs, steps = config.trainer.max_epochs, config.trainer.max_steps
    bounds = [epochs * max(1, characters // a_step) if epochs is not None else None, steps]
    steps = min(bound for bound in bounds if bound is not None)
    most = VALIDATION_SHARE * steps * a_step / max(1.0, SCORING_COST * validated)
    count = min(VALIDATIONS, max(1, int(most)))
    return max(LEAST_STEPS_BETWEEN, -(-steps // count))


def _steps(row: Row, config: TrainOptions, characters: int) -> int:
    return max(1, int(row.trained(characters) / _characters_a_step(config, characters)))


def _characters_a_step(config: TrainOptions, characters: int) -> int:
    """Characters that a training step takes."""
    data = config.data
    streams, length = fitting_sizes(characters, not_none(data.batch_size), data.seq_length)
    return streams * length * config.trainer.windows_a_step
