"""Decide the options that are open: size, dropout, streams, steps and hardware.

conf/by_length.yaml has networks for each length of text. With `budget=10m`, a run takes the largest
one that this machine can train in that time, by its measured speed. In a resume, whose record is a
decided config, only what follows from a changed option is open (`charrnn.runs.resume.FOLLOWING`).
"""

from __future__ import annotations

import copy
import functools
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from charrnn.data import fit_sizes
from charrnn.models.trained import TrainedModel
from charrnn.options.cells import NetworkOptions
from charrnn.options.ranges import require
from charrnn.options.training import has_length, parse_duration
from charrnn.plugins import CONF
from charrnn.processors import keep_freed_memory
from charrnn.runs import hardware
from charrnn.runs.building import build_module
from charrnn.runs.ranks import World, detect_world
from charrnn.say import say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel, TextDataModule
from charrnn.training.optimizers import build_optimizer
from charrnn.training.reproducible import compute_reproducibly

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
MEASURING_SECONDS, WARMUP_STEPS = 0.5, 2  # for each size

# The decisions that one compares between runs.
DECIDED = (
    *("model.hidden_size", "model.dropout", "data.batch_size", "trainer.max_steps"),
    *("trainer.precision", "seed"),
)


@dataclass(frozen=True)
class TextSize:
    """The characters of a text's splits (`val` is 0 without validation)."""

    train: int
    val: int


@dataclass(frozen=True)
class Row:
    """A network for a range of text lengths, and how long to train it: `passes` or `steps`."""

    hidden_size: int
    dropout: float
    batch_size: int
    passes: float = 0
    steps: int = 0
    usual: bool = False  # It is the one without a budget.


@functools.cache
def get_rows(characters: int, hidden_size: int | None = None) -> list[Row]:
    """Return the networks for a text, smallest first, or those of the closest hidden size."""
    table: Any = OmegaConf.to_container(OmegaConf.load(CONF / "by_length.yaml"))
    rows = [Row(**row) for row in table[max(least for least in table if least <= characters)]]
    if hidden_size is None:
        return rows
    closest = min((row.hidden_size for row in rows), key=lambda size: abs(size - hidden_size))
    return [row for row in rows if row.hidden_size == closest]


def decide(config: DictConfig, data: TextDataModule) -> DictConfig:
    """Return the config with a value for every option that is open (null, -1 or auto).

    The values follow from the length of the text, from ``budget=``, from this machine, and from the
    processes that torchrun or srun has started. Other options stay as they are, also their
    interpolations.

    Args:
        config: conf/train.yaml, composed by Hydra.
        data: a data module that is set up. Its text decides, and it is told the decided batch size
            and seed.

    Raises:
        InputError: the text is too short, or this machine does not support an option.
    """
    val = data.split("val") if config.validate_every != 0 else None
    size = TextSize(len(data.streams.ids), 0 if val is None else len(val))
    measure = functools.partial(measure_speed, vocabulary=data.vocabulary)
    decided = decide_sizes(config, size, detect_world(), measure)
    data.batch_size, data.seed = decided.data.batch_size, decided.data.seed
    return decided


def decide_sizes(
    config: DictConfig, size: TextSize, world: World, measure: Callable[[DictConfig], float]
) -> DictConfig:
    """Return the decided config for a text of this size.

    Args:
        measure: returns the characters per second of a decided config, for a budget.
    """
    if config.budget is not None and not has_length(config.trainer):
        return _fit_budget(config, size, world, measure)
    rows = get_rows(size.train, config.model.hidden_size)
    # For a given hidden size there is one row, which may not be the usual one.
    row = next((row for row in rows if row.usual), rows[0])
    return _complete(config, row, size, world)


def adopt_architecture(
    config: DictConfig, trained: TrainedModel, given: Collection[str]
) -> DictConfig:
    """Return the config with the initial model's architecture. Refuse a given other one."""
    config = copy.deepcopy(config)
    given = {*given, "model.kind"} if "model" in given else given
    # The new run may have another dropout.
    for name in [field.name for field in fields(NetworkOptions) if field.name != "dropout"]:
        theirs, ours = getattr(trained.architecture, name), config.model[name]
        is_other = f"model.{name}" in given and ours != theirs
        why = f"{config.init_from} has {theirs}; leave the option out to start from its weights"
        require(not is_other, f"model.{name}", ours, why)
        config.model[name] = theirs
    return config


def _complete(config: DictConfig, row: Row, size: TextSize, world: World) -> DictConfig:
    """Return the config, completed from a row, this machine and the text."""
    config = copy.deepcopy(config)
    _fill(config, "seed", secrets.randbelow(2**31))
    _fill(config, "data.batch_size", row.batch_size)
    _fill(config, "model.hidden_size", row.hidden_size)
    _fill(config, "model.dropout", row.dropout)
    streams, _ = fit_sizes(size.train, config.data.batch_size, config.data.seq_length)
    hardware.decide_hardware(config, streams, world)
    trainer = config.trainer
    if not has_length(trainer):
        trainer.max_steps = _count_row_steps(row, config, size)
    _fill(config, "checkpoint_every", _choose_validation_interval(config, size))
    if isinstance(trainer.val_check_interval, float):  # a share of an epoch
        _fill(config, "trainer.check_val_every_n_epoch", 1)
    _fill(config, "trainer.limit_val_batches", 1.0 if size.val and config.validate_every else 0)
    return config


def _fill(config: DictConfig, name: str, value: Any) -> None:
    """Set an option that is null."""
    if OmegaConf.select(config, name) is None:
        OmegaConf.update(config, name, value)


def _fit_budget(
    config: DictConfig, size: TextSize, world: World, measure: Callable[[DictConfig], float]
) -> DictConfig:
    """Return the config for a budget.

    The network is the largest one that can be trained for long enough, or else the smallest.
    """
    seconds = TRAINING_SHARE * parse_duration(config.budget)
    if size.val:
        seconds /= 1 + VALIDATION_SHARE
    fitting: list[tuple[Row, int]] = []
    for row in get_rows(size.train, config.model.hidden_size):
        decided = _complete(config, row, size, world)
        steps = int(seconds * measure(decided) / _count_step_characters(decided, size))
        full_steps = _count_row_steps(row, decided, size)
        if fitting and steps < LEAST_SHARE * full_steps:
            break
        most_steps = int(MOST_SHARE * full_steps)
        fitting.append((row, min(steps, most_steps)))
    row, steps = fitting[-1]
    if steps == most_steps:
        say(f"budget={config.budget}: takes less, because more steps would not help this text")
    config = copy.deepcopy(config)
    config.trainer.max_steps = max(1, steps)
    return _complete(config, row, size, world)


def _choose_validation_interval(config: DictConfig, size: TextSize) -> int:
    """Return the steps between two validations, which write checkpoints as well."""
    step_characters = _count_step_characters(config, size)
    epochs, steps = config.trainer.max_epochs, config.trainer.max_steps
    bounds = [steps] if steps != -1 else []
    if epochs not in (None, -1):
        bounds.append(epochs * max(1, size.train // step_characters))
    steps = min(bounds)
    most = VALIDATION_SHARE * steps * step_characters / max(1.0, SCORING_COST * size.val)
    count = min(VALIDATIONS, max(1, int(most)))
    return max(LEAST_STEPS_BETWEEN, -(-steps // count))


def _count_row_steps(row: Row, config: DictConfig, size: TextSize) -> int:
    """Return the steps of a full training."""
    characters = row.passes * size.train + row.steps * row.batch_size * USUAL_SEQ_LENGTH
    return max(1, int(characters / _count_step_characters(config, size)))


def _count_step_characters(config: DictConfig, size: TextSize) -> int:
    """Return the number of characters in a training step."""
    data = config.data
    streams, length = fit_sizes(size.train, data.batch_size, data.seq_length)
    return int(streams * length * config.trainer.accumulate_grad_batches)


def measure_speed(config: DictConfig, vocabulary: Vocabulary) -> float:
    """Return the characters per second of training in one process."""
    keep_freed_memory()  # as in training
    accelerator, precision = config.trainer.accelerator, config.trainer.precision
    device = torch.device("cuda" if accelerator == "gpu" else accelerator)
    module = build_module(config, vocabulary).to(device).train()
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    autocast = torch.autocast(device.type, dtype, enabled=precision != "32-true")
    shards = module.num_batch_shards
    with compute_reproducibly(config.threads, shards, config.tf32):
        optimizer = build_optimizer(module.get_trained_parameters(), module.make_optimizer, shards)
        random = torch.Generator().manual_seed(0)
        size = (config.data.batch_size, config.data.seq_length + 1)
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

        for _ in range(WARMUP_STEPS):
            train_step()
        start, steps, passed = time.perf_counter(), 0, 0.0
        while passed < MEASURING_SECONDS:
            train_step()
            steps += 1
            passed = time.perf_counter() - start
    return steps / passed * config.data.batch_size * config.data.seq_length
