"""Decide the options that the user does not set: size, dropout, streams, steps and hardware.

conf/by_length.yaml has networks for each length of text. With `budget=10m`, a run takes the largest
one that this machine can train in that time, by its measured speed. Only a new run decides; a
resume uses the config of its folder.
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
from charrnn.generation.processors import keep_freed_memory
from charrnn.models.trained import TrainedModel
from charrnn.options.cells import NetworkOptions
from charrnn.options.ranges import parse_duration
from charrnn.options.training import DecidedData, DecidedModel, DecidedOptions, TrainOptions
from charrnn.plugins import CONF
from charrnn.runs import hardware
from charrnn.runs.building import build_module
from charrnn.runs.world import World
from charrnn.say import format_duration, say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel
from charrnn.training.batch_shards import limit_threads
from charrnn.training.optimizers import build_optimizer

# The share of a budget for training and validation. The rest is for the measurement, checkpoints,
# samples and other programs.
TRAINING_SHARE = 0.85
# A network fits a budget if it trains on this share of the characters that its row recommends. It
# never trains on more than the second share.
LEAST_SHARE, MOST_SHARE = 0.7, 1.2
# The time of scoring a character relative to training one (measured: 0.32 to 0.38), and the largest
# share of the training time for validations.
SCORING_COST, VALIDATION_SHARE = 0.4, 0.15
VALIDATIONS, LEAST_STEPS_BETWEEN = 15, 50
USUAL_SEQ_LENGTH = 64  # for which the rows are made
GUESS_CHARACTERS = 1_000_000  # before the text is read
# The time to measure each size, as a share of the budget and at most (seconds).
MEASURING_SHARE, MOST_SECONDS = 0.006, 1.0
WARMUP_STEPS = 2
LEAST_PROCESSOR_SHARE = 0.9  # of the measured time, else the measurement is repeated
SPEED_KEPT = 0.8  # with several processes, which wait for each other

# Takes options and the seconds of the budget, and returns the measured characters per second.
MeasureSpeed = Callable[[DecidedOptions, float], float]


@dataclass(frozen=True)
class TextSize:
    """The characters of a text's splits (`val` is 0 without validation). A text may be a list."""

    train: int
    val: int
    is_list: bool = False


@dataclass(frozen=True)
class Row:
    """A network for a range of text lengths, and how long to train it: `passes` or `steps`."""

    hidden_size: int
    dropout: float
    batch_size: int
    passes: float = 0
    list_passes: float | None = None  # over a list; None: as over another text
    steps: int = 0
    usual: bool = False

    def count_trained(self, size: TextSize) -> float:
        """Return the characters of a full training on a text."""
        passes = self.passes
        if size.is_list and self.list_passes is not None:
            passes = self.list_passes
        return passes * size.train + self.steps * self.batch_size * USUAL_SEQ_LENGTH


@functools.cache
def _read_table() -> dict[int, list[Row]]:
    """Return the networks, keyed by the characters of the shortest text for them."""
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF / "by_length.yaml"))
    return {characters: [Row(**row) for row in rows] for characters, rows in content.items()}


def get_rows(characters: int) -> list[Row]:
    """Return the networks for a text, smallest first."""
    table = _read_table()
    return table[max(least for least in table if least <= characters)]


def select_row(characters: int, hidden_size: int | None = None) -> Row:
    """Return the usual network for a text, or the one with the closest hidden size."""
    candidates = get_rows(characters)
    if hidden_size is not None:
        return min(candidates, key=lambda row: abs(row.hidden_size - hidden_size))
    return next(row for row in candidates if row.usual)


def check_machine(options: TrainOptions, world: World) -> None:
    """Raise InputError if this machine does not support an option, before the text is read."""
    _complete(options, select_row(GUESS_CHARACTERS), TextSize(GUESS_CHARACTERS, 0), world)


def adopt_architecture(
    options: TrainOptions, trained: TrainedModel, given: Collection[str]
) -> TrainOptions:
    """Return the options with the initial model's architecture. Refuse a given other one."""
    given_names = {key.removeprefix("model.") for key in given if key.startswith("model.")}
    given_names |= {"kind"} if "model" in given else set()
    # The new run may have another dropout.
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
    """Return the decided options, and the reason for the decisions as a text for the user."""
    if options.budget is None or options.trainer.has_length:
        row = select_row(size.train, options.model.hidden_size)
        return _complete(options, row, size, world), "for a text of this length"
    budget = parse_duration(options.budget)
    decided, speed = _fit_budget(options, budget, size, world, measure)
    seconds = (decided.trainer.max_steps or 0) * _count_step_characters(decided, size) / speed
    duration = f"about {format_duration(seconds)} at {speed:,.0f} characters/s"
    return decided, f"budget={options.budget}, {duration}"


def cut_text(options: DecidedOptions, text: EncodedText) -> Streams:
    """Return the training streams of a text, for all processes. Refuse a text that is too short."""
    sizes = options.data.batch_size, options.data.seq_length
    batch_size, seq_length = fit_sizes(len(text.splits["train"]), *sizes)
    streams = cut_streams(text, "train", batch_size, seq_length)
    if batch_size % options.trainer.num_processes:
        raise InputError(
            f"{text.path}: has text for {batch_size} stream(s) of data.seq_length={seq_length}, "
            f"which cannot be split evenly over {options.trainer.num_processes} processes; give a "
            f"longer text, or a smaller data.seq_length, or another trainer.devices"
        )
    if options.model.batchnorm and batch_size * seq_length == 1:
        raise InputError(
            "model.batchnorm=true: needs more than one character in a window; give a longer text, "
            "or a larger data.batch_size or data.seq_length"
        )
    group = options.trainer.windows_per_step
    if group > streams.num_windows:
        raise InputError(
            f"trainer.accumulate_grad_batches={group}: the text has {streams.num_windows} "
            f"window(s) an epoch; give a longer text, or smaller data.batch_size or data.seq_length"
        )
    return streams


def _complete(
    options: TrainOptions, row: Row, size: TextSize, world: World, max_steps: int | None = None
) -> DecidedOptions:
    """Return the options, completed from a row, this machine and the text, or with `max_steps`."""
    data = DecidedData(**_fill(options.data, batch_size=row.batch_size))
    model = DecidedModel(**_fill(options.model, hidden_size=row.hidden_size, dropout=row.dropout))
    trainer = hardware.decide_trainer(options.trainer, model, data.batch_size, world)
    # checkpoint_every depends on the number of steps, which is decided below.
    values = _fill(options, seed=secrets.randbelow(2**31), checkpoint_every=1)
    nodes = {"data": data, "model": model, "trainer": trainer}
    decided = DecidedOptions(**{**values, **nodes, "resume": None})
    if not options.trainer.has_length:
        steps = _count_row_steps(row, decided, size) if max_steps is None else max_steps
        decided = replace(decided, trainer=replace(decided.trainer, max_steps=steps))
    if options.checkpoint_every is None:
        decided = replace(decided, checkpoint_every=_choose_validation_interval(decided, size))
    return decided


def _fill(options: Any, **defaults: Any) -> dict[str, Any]:
    """Return the values of a dataclass, with defaults for those that are None."""
    values = vars(options)
    return {**values, **{name: v for name, v in defaults.items() if values[name] is None}}


def _fit_budget(
    options: TrainOptions, seconds: float, size: TextSize, world: World, measure: MeasureSpeed
) -> tuple[DecidedOptions, float]:
    """Return the options for a budget, and their training speed in characters per second.

    The network is the largest one that can be trained for long enough, or else the smallest.
    """
    training_seconds, hidden_size = TRAINING_SHARE * seconds, options.model.hidden_size
    given = [select_row(size.train, hidden_size)] if hidden_size is not None else None
    row, *larger = given or get_rows(size.train)
    decided = _complete(options, row, size, world)
    speed = measure(decided, seconds)
    for larger_row in larger:
        candidate = _complete(options, larger_row, size, world)
        candidate_speed = measure(candidate, seconds)
        if candidate_speed * training_seconds < LEAST_SHARE * larger_row.count_trained(size):
            break
        row, decided, speed = larger_row, candidate, candidate_speed
    steps = _count_budget_steps(decided, size, training_seconds * speed)
    steps = min(steps, max(1, int(MOST_SHARE * _count_row_steps(row, decided, size))))
    return _complete(options, row, size, world, steps), speed


def _count_budget_steps(options: DecidedOptions, size: TextSize, characters: float) -> int:
    """Return the steps in the time of training these characters, less that of the validations."""
    step_characters = _count_step_characters(options, size)
    last = min(SCORING_COST * size.val, characters / 2)  # the validation at the end of the run
    if options.validate_every:
        cost = SCORING_COST * size.val / options.validate_every
    else:
        cost = VALIDATION_SHARE * step_characters if size.val else 0.0
    return max(1, int((characters - last) / (step_characters + cost)))


def _choose_validation_interval(options: DecidedOptions, size: TextSize) -> int:
    """Return the steps between two validations, which write checkpoints as well."""
    step_characters = _count_step_characters(options, size)
    epochs, steps = options.trainer.max_epochs, options.trainer.max_steps
    bounds = [epochs * max(1, size.train // step_characters)] if epochs is not None else []
    steps = min(bounds if steps is None else [*bounds, steps])
    most = VALIDATION_SHARE * steps * step_characters / max(1.0, SCORING_COST * size.val)
    count = min(VALIDATIONS, max(1, int(most)))
    return max(LEAST_STEPS_BETWEEN, -(-steps // count))


def _count_row_steps(row: Row, options: DecidedOptions, size: TextSize) -> int:
    return max(1, int(row.count_trained(size) / _count_step_characters(options, size)))


def _count_step_characters(options: DecidedOptions, size: TextSize) -> int:
    """Return the number of characters in a training step."""
    data = options.data
    streams, length = fit_sizes(size.train, data.batch_size, data.seq_length)
    return streams * length * options.trainer.windows_per_step


def measure_speed(options: DecidedOptions, seconds: float, vocabulary: Vocabulary) -> float:
    """Return the characters per second of training, measured in a small share of the budget."""
    keep_freed_memory()  # as in training
    seconds = min(MOST_SECONDS, MEASURING_SHARE * seconds)
    num_processes = options.trainer.num_processes
    streams = options.data.batch_size // num_processes
    device, precision = hardware.get_first_device(options.trainer), options.trainer.precision
    num_shards = hardware.count_batch_shards(options, streams)
    module = build_module(options, vocabulary, num_shards).to(device).train()
    is_scaled = precision == "16-mixed"
    autocast = torch.autocast(
        device.type,
        dtype=torch.float16 if is_scaled else torch.bfloat16,
        enabled=precision.endswith("mixed"),
    )
    threads = options.trainer.threads // module.num_batch_shards
    with limit_threads(threads), hardware.compute_reproducibly(options.trainer):
        optimizer = build_optimizer(
            module.get_trained_parameters(), module.make_optimizer, is_scaled, num_shards
        )
        random = torch.Generator().manual_seed(0)
        size = (streams, options.data.seq_length + 1)
        ids = torch.randint(len(vocabulary), size, generator=random).to(device)

        def train_step() -> None:
            optimizer.zero_grad()
            with autocast:
                # A subclass's step may need its trainer.
                loss = LanguageModel.training_step(module, (ids[:, :-1], ids[:, 1:], False), 0)
            loss.backward()
            optimizer.step()
            if device.type != "cpu":
                torch.accelerator.synchronize(device)

        steps_per_second = _measure_rate(train_step, seconds)
    kept = SPEED_KEPT * num_processes if num_processes > 1 else 1
    return steps_per_second * streams * options.data.seq_length * kept


def _measure_rate(train_step: Callable[[], None], seconds: float) -> float:
    """Return the steps per second. If other programs had the processor, measure once more."""
    rate = 0.0
    for _ in range(WARMUP_STEPS):
        train_step()
    for is_last in (False, True):
        start, processor_start, steps, passed = time.perf_counter(), time.process_time(), 0, 0.0
        while steps < 1 or passed < seconds:
            train_step()
            steps += 1
            passed = time.perf_counter() - start
        rate = max(rate, steps / passed)
        if is_last or time.process_time() - processor_start >= LEAST_PROCESSOR_SHARE * passed:
            break
        say("budget: other programs use the processor; measuring the speed again")
    return rate
