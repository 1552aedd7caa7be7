"""`budget=10m`: what a training is to be that has so much time.

What needs no measurement is an experiment, ``conf/experiment/budget.yaml``. Here size, dropout,
streams and steps are chosen, by how many characters this machine trains in a second
(`charrnn.runs.speed`). It is chosen once, when a run begins, and recorded as if it had been
given; so what is given stays, and a resume measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from charrnn.errors import InputError
from charrnn.ranges import seconds_of
from charrnn.runs.merging import MISSING, found
from charrnn.runs.request import Config
from charrnn.say import duration
from charrnn.streams import fitting_sizes

# units of a layer, two of which have 0.08, 0.25, 0.9, 1.9, 3.3 and 7.3 million parameters
SIZES = (64, 128, 256, 384, 512, 768)
# A size needs so many trained characters a parameter: in the same time, 2 x 256 with 0.7 of
# them ended at 1.64 on 80,000 characters, where 2 x 128 with 6 did at 1.58. And it has no more
# than LARGEST parameters for each character of the text: 2 x 128 for 24,000.
SEEN, LARGEST = 3, 12
# Epochs are at most so many, and epochs * parameters / characters, which is how often the text
# could have been learnt by heart, is no more than BY_HEART: 2 x 128 on 24,000 characters got
# no better after 15 epochs of 25, where that is 150.
EPOCHS, BY_HEART = 50, 200
# Dropout for each doubling of that. On 900,000 characters, 11 epochs of 2 x 256 end at 1.447
# with 0.3, at 1.57 without, and at 1.493 with other kinds of dropout beside it; 25 of 2 x 128
# on 24,000 stay near their best with 0.5, and with 0.3 get worse. Ten of these, too few for any
# network, are best without: before LEARNT steps it is in proportion.
DROPOUT, MOST_DROPOUT, LEARNT = 0.09, 0.5, 800
# streams: fewer for a short training, which needs FEW steps to get anywhere, and more where
# that is SO_MUCH faster (on a GPU) and leaves MANY steps
FEWEST, STREAMS, MOST = 8, 32, 128
FEW, MANY = 2500, 5000
SO_MUCH = 1.4
# of the time, what is trained and validated in; the rest is for measuring, checkpoints,
# samples and a machine that others use too
TRAINED = 0.85
VALIDATED = 0.1
VALIDATIONS = 40
SECONDS_BETWEEN = 5.0
# scoring a character takes this share of the time of training one
SCORED = 0.5
WARMUP = 100
# of the learning rate, where the weights are a trained model's already
TUNING = 0.5

BATCH_SIZE, HIDDEN_SIZE = "data.batch_size", "model.hidden_size"
DROPOUT_OPTION, RATE = "model.dropout", "optimizer.lr"
MAX_EPOCHS, MAX_STEPS = "trainer.max_epochs", "trainer.max_steps"
CHECKPOINTS, WARMUP_STEPS = "checkpoint_every", "schedule.warmup_steps"
SHARE = "trainer.limit_val_batches"
DECIDES = (
    BATCH_SIZE, HIDDEN_SIZE, DROPOUT_OPTION, RATE, MAX_EPOCHS, MAX_STEPS, CHECKPOINTS,
    WARMUP_STEPS, SHARE,
)  # fmt: skip

# characters that are trained in a second by a network of so many units with so many streams
SpeedOf = Callable[[int, int], float]


@dataclass(frozen=True)
class Asked:
    """What has so much time, and what of it is decided already.

    Attributes:
        characters, validated: of the text, to train on and to validate on.
        parameters_of: how many a network of so many units has.
        given: the options of `DECIDES` that stay as they are, dotted, with their values.
        seq_length: characters in a window.
        processes: that train together, and share out the streams.
        windows_a_step: whose gradients are added up.
    """

    characters: int
    validated: int
    seconds: float
    parameters_of: Callable[[int], int]
    given: Mapping[str, Any] = field(default_factory=dict)
    seq_length: int = 64
    processes: int = 1
    windows_a_step: int = 1


@dataclass(frozen=True)
class Chosen:
    """Options by their dotted names, and what is said of them: what, and why."""

    options: dict[str, Any]
    what: str
    why: str


def chosen(asked: Asked, speed_of: SpeedOf) -> Chosen:
    """Size, dropout, streams and steps for the time that is given."""
    batch = asked.given.get(BATCH_SIZE, STREAMS)
    size, why = _size(asked, speed_of, batch)
    batch = asked.given.get(BATCH_SIZE) or _streams(asked, speed_of, size)
    speed = speed_of(size, batch)
    validations, share, pause = _validations(asked, speed)
    enough = _enough(asked, size)
    possible = speed * (TRAINED * asked.seconds - pause)
    steps = max(1, int(min(possible, enough) / _a_step(asked, batch)))
    steps = asked.given.get(MAX_STEPS, steps)
    trained = steps * _a_step(asked, batch)
    epochs = trained / asked.characters
    options = {
        HIDDEN_SIZE: size,
        DROPOUT_OPTION: dropout(epochs * asked.parameters_of(size) / asked.characters, steps),
        BATCH_SIZE: batch,
        WARMUP_STEPS: min(WARMUP, steps // 10),
        MAX_EPOCHS: None,
        MAX_STEPS: steps,
        CHECKPOINTS: -(-steps // validations),
        **({SHARE: share} if share < 1 else {}),
        **asked.given,
    }
    if MAX_STEPS in asked.given:
        why = f"trainer.max_steps={steps} is given; {why}"
    elif possible > enough:
        why = f"{epochs:,.1f} epochs of this text are enough, so it ends early; {why}"
    if share < 1:
        why += f"; validation reads {share:.1%} of its text"
    return Chosen(
        options,
        f"{size} units, dropout {options[DROPOUT_OPTION]:g}, {steps:,} steps of {batch} x "
        f"{asked.seq_length} characters ({epochs:,.1f} epochs), about "
        f"{duration(trained / speed + pause)}",
        f"{speed:,.0f} characters/s; {why}",
    )


def _size(asked: Asked, speed_of: SpeedOf, batch: int) -> tuple[int, str]:
    """The most units that are trained long enough, and why there are not more."""
    if HIDDEN_SIZE in asked.given:
        return asked.given[HIDDEN_SIZE], "the size is given"
    largest = SIZES[0]
    for size in SIZES[1:]:
        parameters = asked.parameters_of(size)
        if parameters > LARGEST * asked.characters:
            return largest, f"{size} units are too many for so short a text"
        # none that is larger is measured, which would take longer
        sees = speed_of(size, batch) * TRAINED * asked.seconds / parameters
        if sees < SEEN:
            return largest, f"{size} units would see {sees:.1f} characters a parameter in that time"
        largest = size
    return largest, "it chooses no more units"


def _streams(asked: Asked, speed_of: SpeedOf, size: int) -> int:
    """Half as many and half as many again as long as there are few steps; or twice as many."""

    def trained(batch: int) -> float:
        speed = speed_of(size, batch)
        pause = _validations(asked, speed)[2]
        return min(speed * (TRAINED * asked.seconds - pause), _enough(asked, size))

    def steps(batch: int) -> float:
        return trained(batch) / _a_step(asked, batch)

    batch = STREAMS
    while batch > FEWEST and steps(batch) < FEW:
        half = batch // 2
        if half % asked.processes or trained(half) * SO_MUCH < trained(batch):
            return batch
        batch = half
    while batch < MOST and steps(batch) >= 2 * MANY:
        if trained(2 * batch) < SO_MUCH * trained(batch):
            break
        batch *= 2
    return batch


def _enough(asked: Asked, size: int) -> float:
    """Characters after which more bring nothing."""
    epochs = min(EPOCHS, BY_HEART * asked.characters / asked.parameters_of(size))
    # a few pages have too few characters for any network
    return max(epochs * asked.characters, LEARNT * FEWEST * asked.seq_length)


def _a_step(asked: Asked, batch: int) -> int:
    """Characters that a training step takes."""
    streams, characters = fitting_sizes(asked.characters, batch, asked.seq_length)
    return streams * characters * asked.windows_a_step


def _validations(asked: Asked, speed: float) -> tuple[int, float, float]:
    """How many there are, of which share of the text, and the seconds that all take."""
    each = asked.validated * SCORED / speed
    whole = asked.given.get(SHARE, 1.0)
    if isinstance(whole, float):
        each *= whole
    time = VALIDATED * asked.seconds
    count = max(1, int(min(VALIDATIONS, asked.seconds / SECONDS_BETWEEN, time / max(each, 1e-9))))
    share = 1.0 if count * each <= time else max(0.001, round(time / each, 3))
    return count, share, count * each * share


def dropout(by_heart: float, steps: int) -> float:
    """A share, in steps of 0.05.

    Args:
        by_heart: epochs * parameters / characters.
    """
    share = min(MOST_DROPOUT, DROPOUT * math.log2(max(1.0, by_heart)))
    return round(20 * share * min(1.0, steps / LEARNT)) / 20


# -- in a config -------------------------------------------------------------------------


def begun(config: Config, given: Iterable[str]) -> Config:
    """The config of a new run, with a guess of what is chosen only once its text is known.

    Raises:
        InputError: another option says how long to train, too.
    """
    if config["budget"] is None:
        return config
    if MAX_EPOCHS in given:
        raise InputError(
            f"{MAX_EPOCHS}={config['trainer']['max_epochs']}: budget={config['budget']} chooses "
            f"how long to train; give one of them"
        )
    return config if BATCH_SIZE in given else replaced(config, {BATCH_SIZE: STREAMS})


def undecided(config: Config, given: Iterable[str]) -> Config:
    """The config, with null for everything that the budget decides."""
    if config["budget"] is None:
        return config
    return replaced(config, {name: None for name in DECIDES if name not in given})


def as_recorded(recorded: Config, config: Config, given: Iterable[str]) -> Config:
    """The config of a resume, with what a budget decided when the run was begun.

    The recipe, if it is chosen today as well, brings its groups without that.
    """
    if recorded.get("budget") is None:
        return config

    def is_kept(name: str) -> bool:
        kind = f"{name.rpartition('.')[0]}._target_"  # another schedule has other options
        return name not in given and found(recorded, kind) == found(config, kind)

    decided = {name: found(recorded, name) for name in DECIDES if is_kept(name)}
    return replaced(config, {n: value for n, value in decided.items() if value is not MISSING})


def kept(config: Config, given: Iterable[str]) -> dict[str, Any]:
    """The options of `DECIDES` that stay as they are."""
    names = {name for name in DECIDES if name in given}
    if config["init_from"] is not None or config["model"]["tied"]:
        names.add(HIDDEN_SIZE)  # it is that of the model, or of the embedding
    options = {name: found(config, name) for name in names}
    # null asks for a choice, and what was taken out has no value
    return {n: value for n, value in options.items() if value not in (None, MISSING)}


def replaced(config: Config, options: Mapping[str, Any]) -> Config:
    """The config with other values of options, dotted."""
    config = {**config}
    for name, value in options.items():
        group, _, option = name.rpartition(".")
        if group:
            config[group] = {**config[group], option: value}
        else:
            config[option] = value
    return config


def seconds(config: Config) -> float:
    """The time of a config that has a budget."""
    return seconds_of(config["budget"])
