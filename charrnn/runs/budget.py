"""What a training is to be, where that is left open: size, dropout, streams and steps.

They follow from the length of the text and from the time that training may take. With
`budget=10m` that is ten minutes of this machine, whose speed is measured
(`charrnn.runs.speed`); without, some minutes of a usual one. An option that is not null is
left as it is. It is chosen once, when a run begins, and recorded as if it had been given: a
resume goes by that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from charrnn.errors import InputError
from charrnn.options.training import TrainOptions
from charrnn.streams import fitting_sizes

# units of a layer, two of which have 0.08, 0.25, 0.9, 1.9, 3.3 and 7.3 million parameters
SIZES = (64, 128, 256, 384, 512, 768)
# A size needs so many trained characters a parameter: in the same time, 2 x 256 with 0.7 of
# them ended at 1.64 on 80,000 characters, where 2 x 128 with 6 did at 1.58. With 1.3 and more
# time it was at 1.56, and that is why it may have twelve parameters for each character of the
# text: 2 x 128 for 24,000, 2 x 256 for 80,000.
CHARACTERS_PER_PARAMETER, PARAMETERS_PER_CHARACTER = 3, 12
# Epochs are at most so many, and epochs * parameters / characters, which is how often the text
# could have been learnt by heart, is no more than MEMORIZATION: with dropout 0.5, 2 x 128 on 24,000
# characters got no better after 15 epochs of 25, nor 2 x 256 on 80,000 after 13 of 18.
EPOCHS, MEMORIZATION = 50, 150
# A text of a few lines gets no more epochs than this, and where validation loss stays OVERFIT
# nats above the best a training ends whose length was not given: 5,000 characters were at their
# best after 150 steps of 800.
MOST_EPOCHS, OVERFIT = 100, 0.3
# Dropout for each doubling of that. On a million characters, 3 epochs of 2 x 256 end at 1.447
# with 0.1 and at 1.468 with 0.2, 5 epochs at 1.437 and 1.441; 16 of 2 x 128 on 27,000 and 14 of
# 2 x 256 on 80,000 are 0.06 to 0.07 worse with 0.2 than with 0.4, on test. Ten of these, too few
# for any network, are best without: before FULL_DROPOUT_STEPS it is in proportion. LEAST_STEPS are
# needed for anything.
DROPOUT_PER_DOUBLING, MOST_DROPOUT, FULL_DROPOUT_STEPS, LEAST_STEPS = 0.07, 0.5, 1200, 800
# Streams: half as many for a training of less than FEW_STEPS, as long as that keeps HALF_KEEPS of
# the characters, and twice as many where that is DOUBLE_GAIN faster (on a GPU) and leaves
# MANY_STEPS. 2 x 128 on 80,000 characters ended at 1.63 after 1,100 steps of 32 streams, at 1.58
# after 1,500 of 16.
FEWEST_STREAMS, USUAL_STREAMS, MOST_STREAMS = 8, 32, 128
FEW_STEPS, MANY_STEPS = 2500, 5000
HALF_KEEPS, DOUBLE_GAIN = 0.6, 1.4
# of the time, what is trained and validated in; the rest is for measuring, checkpoints,
# samples and a machine that others use too
TRAINING_SHARE = 0.85
VALIDATION_SHARE, ASKED_VALIDATION_SHARE = 0.1, 0.5
# at most, and as many before they read only a part of the text
VALIDATIONS, WHOLE_VALIDATIONS = 40, 10
SECONDS_BETWEEN = 5.0
LEAST_STEPS_BETWEEN = 50  # steps
# scoring a character takes no more than this share of the time of training one (measured: 0.32
# to 0.38)
SCORING_COST = 0.4

# Without a budget: the seconds that a run takes on two cores, and characters a second that
# such a machine trains, by units. So the same text gets the same training everywhere.
USUAL_SECONDS, USUAL_SIZE, USUAL_DROPOUT = 100, 256, 0.3
USUAL_SPEEDS = {64: 200_000, 128: 150_000, 256: 70_000, 384: 36_000, 512: 20_000, 768: 9_000}

# characters that are trained in a second by a network of so many units with so many streams
SpeedOf = Callable[[int, int], float]


@dataclass(frozen=True)
class Choices:
    """The options that are decided, by their names in a config; None is open."""

    batch_size: int | None = None
    hidden_size: int | None = None
    dropout: float | None = None
    max_epochs: int | None = None
    max_steps: int | None = None
    checkpoint_every: int | None = None
    limit_val_batches: float | None = None
    margin: float | None = None  # of the callback `overfitting`, in a config that has one

    @classmethod
    def of(cls, config: TrainOptions) -> Choices:
        """What a config says."""
        return cls(
            config.data.batch_size,
            config.model.hidden_size,
            config.model.dropout,
            config.trainer.max_epochs,
            config.trainer.max_steps,
            config.checkpoint_every,
            config.trainer.rest.get("limit_val_batches"),
            config.callbacks.get("overfitting", {}).get("margin"),
        )

    @property
    def complete(self) -> bool:
        """Whether nothing is open that a training needs to know."""
        needed = (self.batch_size, self.hidden_size, self.dropout, self.checkpoint_every)
        return None not in needed and (self.max_epochs, self.max_steps) != (None, None)

    def over(self, others: Choices) -> Choices:
        """These, and of the others what is open here."""
        mine = {name: value for name, value in vars(self).items() if value is not None}
        return replace(others, **mine)

    def put_in(self, config: TrainOptions) -> TrainOptions:
        """The config with these choices; what is open stays as it is."""
        new = self.over(Choices.of(config))
        rest, callbacks = dict(config.trainer.rest), dict(config.callbacks)
        if new.limit_val_batches is not None:
            rest["limit_val_batches"] = new.limit_val_batches
        if new.margin is not None and "overfitting" in callbacks:
            callbacks["overfitting"] = {**callbacks["overfitting"], "margin": new.margin}
        return replace(
            config,
            data=replace(config.data, batch_size=new.batch_size),
            model=replace(config.model, hidden_size=new.hidden_size, dropout=new.dropout),
            trainer=replace(
                config.trainer, max_epochs=new.max_epochs, max_steps=new.max_steps, rest=rest
            ),
            callbacks=callbacks,
            checkpoint_every=new.checkpoint_every,
        )


@dataclass(frozen=True)
class Asked:
    """What is to be trained, in how long, and what of it is decided already.

    Attributes:
        characters, validated: of the text, to train on and to validate on.
        parameters_of: how many a network of so many units has.
        given: what stays as it is.
        every: steps between validations, if that is given.
        validating: share of the time that validations of the whole text may take.
        seq_length: characters in a window.
        processes: that train together, and share out the streams.
        windows_a_step: whose gradients are added up.
    """

    characters: int
    validated: int
    seconds: float
    parameters_of: Callable[[int], int]
    given: Choices = Choices()
    every: int | None = None
    validating: float = VALIDATION_SHARE
    seq_length: int = 64
    processes: int = 1
    windows_a_step: int = 1

    @property
    def most(self) -> float:
        """Validations and saves that there are at most, if nothing else is asked for."""
        return min(VALIDATIONS, self.seconds / SECONDS_BETWEEN)

    def steps(self, batch: int) -> int | None:
        """The steps that are given, in whichever way; None: they are open."""
        bounds = [self.given.max_steps] if self.given.max_steps is not None else []
        if self.given.max_epochs is not None:
            windows = max(1, self.characters // _a_step(self, batch))
            bounds.append(self.given.max_epochs * windows)
        return min(bounds, default=None)


@dataclass(frozen=True)
class Chosen:
    """The choices, and what is said of them: what, and why.

    Attributes:
        seconds: that it will take at `speed`, in characters a second.
    """

    choices: Choices
    what: str
    why: str
    seconds: float
    speed: float


def chosen(asked: Asked, speed_of: SpeedOf) -> Chosen:
    """Size, dropout, streams and steps for the time that is given."""
    size, why = _size(asked, speed_of, asked.given.batch_size or USUAL_STREAMS)
    batch = asked.given.batch_size or _streams(asked, speed_of, size)
    speed = speed_of(size, batch)
    steps = asked.steps(batch)
    if steps is not None:
        # a length that is given may take longer
        taken = steps * _a_step(asked, batch) / speed / TRAINING_SHARE
        asked = replace(asked, seconds=max(asked.seconds, taken))
    validations, share, pause = _validations(asked, speed, batch)
    saves = validations if asked.every is None else max(1, int(asked.most))
    enough = _enough(asked, size)
    possible = speed * (TRAINING_SHARE * asked.seconds - pause)
    is_given = steps is not None
    if steps is None:
        steps = max(1, int(min(possible, enough) / _a_step(asked, batch)))
    trained = steps * _a_step(asked, batch)
    epochs = trained / asked.characters
    open_choices = Choices(
        batch_size=batch,
        hidden_size=size,
        dropout=dropout(epochs * asked.parameters_of(size) / asked.characters, steps),
        max_steps=None if is_given else steps,
        checkpoint_every=max(LEAST_STEPS_BETWEEN, -(-steps // saves)),
        limit_val_batches=share if share < 1 else None,
        margin=None if is_given else OVERFIT,
    )
    choices = asked.given.over(open_choices)
    if is_given:
        why = f"the length is given; {why}"
    elif possible > enough:
        why = f"{epochs:,.0f} epochs of this text are enough; {why}"
    if share < 1:
        why += f"; validation reads {share:.2%} of its text"
    return Chosen(
        choices,
        f"{size} units, dropout {choices.dropout:g}, {steps:,} steps of {batch} x "
        f"{asked.seq_length} characters ({epochs:,.2f} epochs)",
        why,
        trained / speed + pause,
        speed,
    )


def _size(asked: Asked, speed_of: SpeedOf, batch: int) -> tuple[int, str]:
    """The most units that are trained long enough, and why there are not more."""
    if asked.given.hidden_size is not None:
        return asked.given.hidden_size, "the size is given"
    largest = SIZES[0]
    for size in SIZES[1:]:
        parameters = asked.parameters_of(size)
        if parameters > PARAMETERS_PER_CHARACTER * asked.characters:
            return largest, f"{size} units are too many for so short a text"
        # none that is larger is measured, which would take longer
        sees = speed_of(size, batch) * TRAINING_SHARE * asked.seconds / parameters
        if sees < CHARACTERS_PER_PARAMETER:
            return largest, f"{size} units would see {sees:.1f} characters a parameter in that time"
        largest = size
    return largest, "it chooses no more units"


def _streams(asked: Asked, speed_of: SpeedOf, size: int) -> int:
    """Half as many and half as many again as long as there are few steps; or twice as many."""

    def trained(batch: int) -> float:
        speed = speed_of(size, batch)
        pause = _validations(asked, speed, batch)[2]
        return min(speed * (TRAINING_SHARE * asked.seconds - pause), _enough(asked, size))

    def steps(batch: int) -> float:
        return trained(batch) / _a_step(asked, batch)

    batch = USUAL_STREAMS
    if asked.steps(batch) is not None:
        return batch  # fewer would make the training shorter
    while batch > FEWEST_STREAMS and steps(batch) < FEW_STEPS:
        half = batch // 2
        if half % asked.processes or trained(half) < HALF_KEEPS * trained(batch):
            return batch
        batch = half
    while batch < MOST_STREAMS and steps(batch) >= 2 * MANY_STEPS:
        if trained(2 * batch) < DOUBLE_GAIN * trained(batch):
            break
        batch *= 2
    return batch


def _enough(asked: Asked, size: int) -> float:
    """Characters after which more bring nothing."""
    epochs = min(EPOCHS, MEMORIZATION * asked.characters / asked.parameters_of(size))
    # a few pages have too few characters for any network
    least = min(LEAST_STEPS * FEWEST_STREAMS * asked.seq_length, MOST_EPOCHS * asked.characters)
    return max(epochs * asked.characters, least)


def _a_step(asked: Asked, batch: int) -> int:
    """Characters that a training step takes."""
    streams, characters = fitting_sizes(asked.characters, batch, asked.seq_length)
    return streams * characters * asked.windows_a_step


def _validations(asked: Asked, speed: float, batch: int) -> tuple[int, float, float]:
    """How many there are, of which share of the text, and the seconds that all take."""
    each = asked.validated * SCORING_COST / speed
    given = asked.given.limit_val_batches
    if isinstance(given, float):
        each *= given
    limit, is_given = asked.validating * asked.seconds, given is not None
    if asked.every is not None:
        time, between = TRAINING_SHARE * asked.seconds, asked.every * _a_step(asked, batch) / speed
        count = time / (between + each)
        if count * each > limit and not is_given:
            count = (time - limit) / between
    else:
        of_whole_texts = limit / max(each, 1e-9)
        most = of_whole_texts if is_given else max(WHOLE_VALIDATIONS, of_whole_texts)
        count = min(asked.most, most)
    count = max(1, int(count))
    if is_given or count * each <= limit:
        return count, 1.0, count * each
    share = max(1e-4, math.floor(1e4 * limit / (count * each)) / 1e4)
    return count, share, count * each * share


def dropout(by_heart: float, steps: int) -> float:
    """A share, in steps of 0.05.

    Args:
        by_heart: epochs * parameters / characters.
    """
    share = min(MOST_DROPOUT, DROPOUT_PER_DOUBLING * math.log2(max(1.0, by_heart)))
    return round(20 * share * min(1.0, steps / FULL_DROPOUT_STEPS)) / 20


def usual_speed(size: int) -> float:
    """Characters a second that a usual machine trains with a network of so many units."""
    return float(np.interp(size, list(USUAL_SPEEDS), list(USUAL_SPEEDS.values())))


# -- in a config -------------------------------------------------------------------------


def guessed(config: TrainOptions) -> TrainOptions:
    """The config with a guess in place of what is decided only once the text is known."""
    guess = Choices(batch_size=USUAL_STREAMS, hidden_size=USUAL_SIZE, dropout=USUAL_DROPOUT)
    return Choices.of(config).over(guess).put_in(config)


def refuse_two_lengths(config: TrainOptions) -> None:
    """Raise InputError if a new run is to be as long as a budget and as something else."""
    trainer = config.trainer
    for name, value in (("max_epochs", trainer.max_epochs), ("max_steps", trainer.max_steps)):
        if config.budget is not None and value is not None:
            raise InputError(
                f"trainer.{name}={value}: budget={config.budget} chooses how long to train; give "
                f"one of them"
            )
