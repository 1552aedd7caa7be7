"""How many characters a second this machine trains, measured, and what is chosen by it."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import Any

import torch

from charrnn.models.trained import Architecture
from charrnn.options.networks import NetworkOptions
from charrnn.options.ranges import seconds_of
from charrnn.options.training import TrainerOptions, TrainOptions, definite
from charrnn.processor import keep_freed_memory
from charrnn.runs import budget, hardware
from charrnn.runs.budget import Choices
from charrnn.runs.fit import module_of, threads
from charrnn.runs.world import World
from charrnn.say import duration, say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel, TextDataModule
from charrnn.training.optimizers import optimizer_of

# of the time that there is, and at most (seconds), for each size that is measured
MEASURING_SHARE, MOST_SECONDS = 0.006, 1.0
# steps, after two that make kernels and memory ready, if they do not take too long (seconds)
LEAST_STEPS, MOST_WAITING = 3, 0.5
# a GPU is not waited for in each step, as it is not in training
STEPS_BETWEEN_WAITS = {"cuda": 8}
# what is left of the speed of each of several processes, which wait for one another
SPEED_KEPT = 0.8


def decided(config: TrainOptions, data: TextDataModule, world: World) -> TrainOptions:
    """The config with all decided that it leaves open, which is said in a line or two.

    Args:
        data: is cut into as many streams as are chosen.
    """
    given = Choices.of(config)
    if given.complete:
        return config
    guess = budget.guessed(config)
    trainer = hardware.resolve(guess, world)
    processes = hardware.processes(trainer)
    validated = data.split("val") if config.validate_every != 0 else None

    def parameters_of(hidden_size: int) -> int:
        return _parameters(config.model, hidden_size, len(data.vocabulary))

    asked = budget.Asked(
        characters=len(data.streams.ids),
        validated=0 if validated is None else len(validated),
        seconds=seconds_of(config.budget) if config.budget else budget.USUAL_SECONDS,
        parameters_of=parameters_of,
        given=given,
        every=config.validate_every or given.checkpoint_every,
        validating=budget.ASKED_VALIDATION_SHARE
        if config.validate_every
        else budget.VALIDATION_SHARE,
        seq_length=data.seq_length,
        processes=processes,
        windows_a_step=trainer.windows_a_step,
    )
    if config.budget:
        chosen = budget.chosen(asked, _measuring(guess, data.vocabulary, world, asked))
        say(f"budget={config.budget}: {chosen.what}, about {duration(chosen.seconds)}")
        say(f"  {chosen.speed:,.0f} characters/s measured; {chosen.why}")
    else:
        chosen = budget.chosen(asked, lambda size, batch: budget.usual_speed(size))
        if chosen.choices.max_steps is not None and given.max_steps is None:
            say(f"for a text of this length: {chosen.what}")
    data.batch_size = definite(chosen.choices.batch_size)
    return chosen.choices.put_in(config)


def _measuring(
    config: TrainOptions,
    vocabulary: Vocabulary,
    world: World,
    asked: budget.Asked,
) -> budget.SpeedOf:
    """The speed of this machine, each measured when it is asked for the first time."""
    keep_freed_memory()  # as it is in training
    seconds = min(MOST_SECONDS, MEASURING_SHARE * asked.seconds)

    @functools.cache
    def speed_of(hidden_size: int, batch_size: int) -> float:
        tried = Choices(batch_size=batch_size, hidden_size=hidden_size).put_in(config)
        tried = replace(tried, trainer=hardware.resolve(tried, world))
        speed = measured(tried, vocabulary, asked.processes, seconds)
        return speed * asked.processes * (SPEED_KEPT if asked.processes > 1 else 1)

    return speed_of


def measured(
    config: TrainOptions,
    vocabulary: Vocabulary,
    processes: int,
    seconds: float,
) -> float:
    """Characters a second that one process trains of random text, as a run would.

    Args:
        config: with every choice about the machine made.
        processes: the streams are shared out among so many.
        seconds: to measure in, besides the first steps.
    """
    length = config.data.seq_length
    streams = max(1, definite(config.data.batch_size) // processes)
    device = _device(config.trainer)
    with threads(config, streams, World("", 0, 0, processes, processes)) as shares:
        module = module_of(config, vocabulary).to(device).train()
        module.stream_threads = shares
        step = _stepping(module, config.trainer, device)
        random = torch.Generator().manual_seed(0)
        ids = torch.randint(len(vocabulary), (streams, length + 1), generator=random).to(device)
        at_once = STEPS_BETWEEN_WAITS.get(device.type, 1)

        def timed(count: int) -> float:
            began = time.perf_counter()
            for _ in range(count):
                step(ids)
            _wait(device)
            return time.perf_counter() - began

        patience = max(MOST_WAITING, seconds)
        first = timed(1)
        if first > patience:
            return streams * length / first
        timed(1)
        steps, passed = 0, 0.0
        while passed < seconds or (steps < LEAST_STEPS and passed < patience):
            passed += timed(at_once)
            steps += at_once
        return steps * streams * length / passed


def _stepping(module: LanguageModel, trainer: TrainerOptions, device: torch.device) -> Any:
    precision, bound = trainer.precision, trainer.gradient_clip_val
    kind = torch.float16 if precision == "16-mixed" else torch.bfloat16
    autocast = torch.autocast(device.type, dtype=kind, enabled=precision != "32-true")
    optimizer = optimizer_of(
        module.trained_parameters(), module.make_optimizer, precision == "16-mixed",
        module.stream_threads,
    )  # fmt: skip
    parameters = list(module.network.parameters())

    def step(ids: torch.Tensor) -> None:
        optimizer.zero_grad()
        with autocast:
            # a subclass's own step may rely on its trainer
            loss = LanguageModel.training_step(module, (ids[:, :-1], ids[:, 1:], False), 0)
        loss.backward()
        if bound is not None:
            torch.nn.utils.clip_grad_norm_(parameters, bound)
        optimizer.step()

    return step


def _device(trainer: TrainerOptions) -> torch.device:
    if trainer.accelerator != "gpu":
        return torch.device(trainer.accelerator)
    devices = trainer.devices
    return torch.device("cuda", devices[0] if isinstance(devices, list) else 0)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _parameters(model: NetworkOptions, hidden_size: int, vocabulary_size: int) -> int:
    own = (model.kind, model.embedding_size, hidden_size, model.num_layers)
    shapes = Architecture(*own, vocabulary_size=vocabulary_size).shapes()
    return sum(torch.Size(shape).numel() for shape in shapes.values())
