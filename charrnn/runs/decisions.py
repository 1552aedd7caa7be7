"""Decide what the options of a training leave open: size, dropout, streams, steps and hardware.

conf/by_length.yaml says it by the length of the text. With `budget=10m` a run takes the largest
network of its row that this machine can train in that time, by its measured speed. An option that
is given stays. A run decides once, when it begins, and records the decisions: a resume goes by the
record.
"""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from omegaconf import OmegaConf

from charrnn.data import EncodedText, Streams, cut_streams, fit_sizes
from charrnn.errors import InputError
from charrnn.models.trained import TrainedModel
from charrnn.options.networks import NetworkOptions
from charrnn.options.training import (
    DecidedData,
    DecidedModel,
    DecidedOptions,
    TrainOptions,
)
from charrnn.plugins import CONF
from charrnn.runs import hardware
from charrnn.runs.building import build_module
from charrnn.runs.freed_memory import keep_freed_memory
from charrnn.runs.world import World
from charrnn.say import format_duration
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel
from charrnn.training.batch_shards import limit_threads
from charrnn.training.optimizers import build_optimizer

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
GUESS_CHARACTERS = 1_000_000  # of a text that is not read yet
# of the time that there is, and at most (seconds), for each size that is measured
MEASURING_SHARE, MOST_SECONDS = 0.006, 1.0
WARMUP_STEPS = 2  # which make kernels and memory ready
# what is left of the speed of each of several processes, which wait for one another
SPEED_KEPT = 0.8

# returns the characters per second that a run of these options trains, measured in about the
# seconds of its budget
MeasureSpeed = Callable[[DecidedOptions, float], float]


@dataclass(frozen=True)
class Row:
    """A network for a text of some length; one of `passes` and `steps` is given."""

    hidden_size: int
    dropout: float
    batch_size: int
    passes: float = 0
    steps: int = 0
    usual: bool = False

    def count_trained(self, characters: int) -> float:
        """Return how many characters it reads in all of a text of `characters`."""
        return self.passes * characters + self.steps * self.batch_size * USUAL_SEQ_LENGTH


@functools.cache
def _read_table() -> dict[int, list[Row]]:
    """Return the networks by the least characters of a text that they are for."""
    content: Any = OmegaConf.to_container(OmegaConf.load(BY_LENGTH))
    return {characters: [Row(**row) for row in rows] for characters, rows in content.items()}


def rows(characters: int) -> list[Row]:
    """Return the networks for a text of so many characters, smallest first."""
    table = _read_table()
    return table[max(least for least in table if least <= characters)]


def default_row(characters: int, hidden_size: int | None = None) -> Row:
    """Return the network that is trained without a budget, or the one nearest to a given size."""
    candidates = rows(characters)
    if hidden_size is not None:
        return min(candidates, key=lambda row: abs(row.hidden_size - hidden_size))
    return next(row for row in candidates if row.usual)


@dataclass(frozen=True)
class TextSize:
    """The characters of a text to train on, and of a validation (0: there is none)."""

    train: int
    val: int


def check_machine(options: TrainOptions, world: World) -> None:
    """Raise InputError if this machine lacks what an option asks for, before a text is read."""
    _complete(options, default_row(GUESS_CHARACTERS), TextSize(GUESS_CHARACTERS, 0), world)


def adopt_architecture(
    options: TrainOptions, trained: TrainedModel, given: Collection[str]
) -> TrainOptions:
    """Return the options with the network of the model that `init_from` names.

    Args:
        given: the options on the command line, dotted.

    Raises:
        InputError: one of those is not what the model has.
    """
    given_names = {key.removeprefix("model.") for key in given if key.startswith("model.")}
    given_names |= {"kind"} if "model" in given else set()
    # a fresh run may choose for itself how much is dropped
    names = {field.name for field in fields(NetworkOptions)} - {"dropout"}
    values = {name: getattr(trained.architecture, name) for name in names}
    for name in given_names & names:
        if (value := getattr(options.model, name)) != values[name]:
            raise InputError(
                f"model.{name}={value}: {options.init_from} has {values[name]}; "
                f"leave the option out to start from its weights"
            )
    return replace(options, model=replace(options.model, **values))


def decide(
    options: TrainOptions, size: TextSize, world: World, measure: MeasureSpeed
) -> tuple[DecidedOptions, str]:
    """Return the options with every decision, and the reason of the decisions for the user.

    Args:
        measure: is called for a budget that leaves the length open.

    Raises:
        InputError: this machine lacks what an option asks for.
    """
    seconds = options.budget_seconds
    if seconds is None or options.trainer.has_length:
        row = default_row(size.train, options.model.hidden_size)
        return _complete(options, row, size, world), "for a text of this length"
    decided, speed = _fit_budget(options, seconds, size, world, measure)
    seconds = (decided.trainer.max_steps or 0) * _characters_in_step(decided, size) / speed
    reason = (
        f"budget={options.budget}, about {format_duration(seconds)} at {speed:,.0f} characters/s"
    )
    return decided, reason


def cut_text(options: DecidedOptions, text: EncodedText) -> Streams:
    """Return the streams of a text that all processes together train on.

    Raises:
        InputError: the text is too short for the options.
    """
    sizes = options.data.batch_size, options.data.seq_length
    batch_size, seq_length = fit_sizes(len(text.splits["train"]), *sizes)
    streams = cut_streams(text, "train", batch_size, seq_length)
    if batch_size % options.trainer.num_processes:
        raise InputError(
            f"{text.path}: has text for {batch_size} stream(s) of "
            f"data.seq_length={seq_length}, which cannot be split evenly over "
            f"{options.trainer.num_processes} processes; give a longer text, or a smaller "
            f"data.seq_length, or another trainer.devices"
        )
    if options.model.batchnorm and batch_size * seq_length == 1:
        raise InputError(
            "model.batchnorm=true: needs more than one character in a window; give a longer text, "
            "or a larger data.batch_size or data.seq_length"
        )
    group = options.trainer.windows_a_step
    if group > streams.num_windows:
        raise InputError(
            f"trainer.accumulate_grad_batches={group}: the text has {streams.num_windows} "
            f"window(s) an epoch; give a longer text, or smaller data.batch_size or data.seq_length"
        )
    return streams


def _complete(
    options: TrainOptions, row: Row, size: TextSize, world: World, max_steps: int | None = None
) -> DecidedOptions:
    """Return the options with the choices of a row, of this machine and of the text.

    Args:
        max_steps: where the options leave the length open; None: as many as the row says.
    """
    batch_size, hidden_size = options.data.batch_size, options.model.hidden_size
    dropout, seed, every = options.model.dropout, options.seed, options.checkpoint_every
    batch_size = row.batch_size if batch_size is None else batch_size
    hidden_size = row.hidden_size if hidden_size is None else hidden_size
    dropout = row.dropout if dropout is None else dropout
    model = DecidedModel(**{**vars(options.model), "hidden_size": hidden_size, "dropout": dropout})
    choices = {
        "data": DecidedData(**{**vars(options.data), "batch_size": batch_size}),
        "model": model,
        "trainer": hardware.decide_trainer(options.trainer, model, batch_size, world),
        "seed": secrets.randbelow(2**31) if seed is None else seed,
        "checkpoint_every": 1 if every is None else every,
        "resume": None,
    }
    decided = DecidedOptions(**{**vars(options), **choices})
    if not options.trainer.has_length:
        steps = _steps_of_row(row, decided, size) if max_steps is None else max_steps
        decided = replace(decided, trainer=replace(decided.trainer, max_steps=steps))
    if every is None:
        decided = replace(decided, checkpoint_every=_steps_between_validations(decided, size))
    return decided


def _fit_budget(
    options: TrainOptions, seconds: float, size: TextSize, world: World, measure: MeasureSpeed
) -> tuple[DecidedOptions, float]:
    """Return the options for a budget, and the characters per second that they train.

    The network is the largest that sees enough of the text in the time, or the smallest.
    """
    training_seconds, hidden_size = TRAINING_SHARE * seconds, options.model.hidden_size
    given = [default_row(size.train, hidden_size)] if hidden_size is not None else None
    row, *larger = given or rows(size.train)
    decided = _complete(options, row, size, world)
    speed = measure(decided, seconds)
    for larger_row in larger:
        candidate = _complete(options, larger_row, size, world)
        candidate_speed = measure(candidate, seconds)
        if candidate_speed * training_seconds < LEAST_SHARE * larger_row.count_trained(size.train):
            break  # a still larger one would take longer to measure
        row, decided, speed = larger_row, candidate, candidate_speed
    steps = _steps_in_budget(decided, size, training_seconds * speed)
    steps = min(steps, max(1, int(MOST_SHARE * _steps_of_row(row, decided, size))))
    return _complete(options, row, size, world, steps), speed


def _steps_in_budget(options: DecidedOptions, size: TextSize, possible: float) -> int:
    """Return the steps that a budget has time for, with their validations.

    Args:
        possible: characters that could be trained in the time without validations.
    """
    last = min(SCORING_COST * size.val, possible / 2)  # a run ends with a validation
    if options.validate_every:  # as often as was asked for, and else a share of the time
        cost = SCORING_COST * size.val / options.validate_every
    else:
        cost = VALIDATION_SHARE * _characters_in_step(options, size) if size.val else 0.0
    return max(1, int((possible - last) / (_characters_in_step(options, size) + cost)))


def _steps_between_validations(options: DecidedOptions, size: TextSize) -> int:
    """Return the steps from one validation and checkpoint to the next."""
    in_step = _characters_in_step(options, size)
    epochs, max_steps = options.trainer.max_epochs, options.trainer.max_steps
    bounds = [epochs * max(1, size.train // in_step) if epochs is not None else None, max_steps]
    steps = min(bound for bound in bounds if bound is not None)
    most = VALIDATION_SHARE * steps * in_step / max(1.0, SCORING_COST * size.val)
    count = min(VALIDATIONS, max(1, int(most)))
    return max(LEAST_STEPS_BETWEEN, -(-steps // count))


def _steps_of_row(row: Row, options: DecidedOptions, size: TextSize) -> int:
    return max(1, int(row.count_trained(size.train) / _characters_in_step(options, size)))


def _characters_in_step(options: DecidedOptions, size: TextSize) -> int:
    """Return the characters that a training step takes."""
    data = options.data
    streams, length = fit_sizes(size.train, data.batch_size, data.seq_length)
    return streams * length * options.trainer.windows_a_step


def measure_speed(options: DecidedOptions, seconds: float, vocabulary: Vocabulary) -> float:
    """Return the characters per second that a run trains, by some steps on random text.

    Args:
        seconds: the budget of the run, of which the measurement takes a small share.
    """
    keep_freed_memory()  # as it is in training
    seconds = min(MOST_SECONDS, MEASURING_SHARE * seconds)
    num_processes = options.trainer.num_processes
    streams = max(1, options.data.batch_size // num_processes)
    device, precision = hardware.first_device(options.trainer), options.trainer.precision
    hardware.make_deterministic(options.trainer)
    num_shards = hardware.count_batch_shards(options, streams)
    module = build_module(options, vocabulary, num_shards).to(device).train()
    is_scaled = precision == "16-mixed"
    autocast = torch.autocast(
        device.type,
        dtype=torch.float16 if is_scaled else torch.bfloat16,
        enabled=precision.endswith("mixed"),
    )
    with limit_threads(options.trainer.threads // module.num_batch_shards):
        optimizer = build_optimizer(
            module.get_trained_parameters(), module.make_optimizer, is_scaled, num_shards
        )
        random = torch.Generator().manual_seed(0)
        size = (streams, options.data.seq_length + 1)
        ids = torch.randint(len(vocabulary), size, generator=random).to(device)
        began, passed, steps = 0.0, 0.0, -WARMUP_STEPS
        while steps < 1 or passed < seconds:
            if steps == 0:
                began = time.perf_counter()
            optimizer.zero_grad()
            with autocast:
                # a subclass's own step may rely on its trainer
                loss = LanguageModel.training_step(module, (ids[:, :-1], ids[:, 1:], False), 0)
            loss.backward()
            optimizer.step()
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            steps += 1
            passed = time.perf_counter() - began
    kept = SPEED_KEPT * num_processes if num_processes > 1 else 1
    return steps * streams * options.data.seq_length / passed * kept
