"""How many characters a second this machine trains, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from charrnn.cpu import keep_freed_memory
from charrnn.options.ranges import seconds_of
from charrnn.options.training import TrainerOptions, TrainOptions, definite
from charrnn.runs import hardware
from charrnn.runs.world import World
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel
from charrnn.training.optimizers import optimizer_of

# of the time that there is, and at most (seconds), for each size that is measured
MEASURING_SHARE, MOST_SECONDS = 0.006, 1.0
WARMUP_STEPS = 2  # which make kernels and memory ready
# what is left of the speed of each of several processes, which wait for one another
SPEED_KEPT = 0.8


def measure(
    config: TrainOptions,
    vocabulary: Vocabulary,
    world: World,
    build_module: Callable[[TrainOptions, Vocabulary], LanguageModel],
) -> float:
    """Characters a second that a run of this config trains, by some steps on random text.

    Args:
        config: with a budget, and every size chosen.
    """
    keep_freed_memory()  # as it is in training
    config = replace(config, trainer=hardware.resolve(config, world))
    processes = hardware.processes(config.trainer)
    seconds = min(MOST_SECONDS, MEASURING_SHARE * seconds_of(definite(config.budget)))
    streams = max(1, definite(config.data.batch_size) // processes)
    device = hardware.device(config.trainer)
    with hardware.threads(config, streams, World("", 0, 0, processes, processes)) as num_shards:
        module = build_module(config, vocabulary).to(device).train()
        module.num_batch_shards = num_shards
        step = _stepping(module, config.trainer, device)
        random = torch.Generator().manual_seed(0)
        size = (streams, config.data.seq_length + 1)
        ids = torch.randint(len(vocabulary), size, generator=random).to(device)
        wait = torch.accelerator.synchronize if device.type != "cpu" else lambda _: None
        # a GPU is not waited for in each step, as it is not in training
        steps_between_waits = 8 if device.type == "cuda" else 1
        for _ in range(WARMUP_STEPS):
            step(ids)
        wait(device)
        began, steps = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds or not steps:
            for _ in range(steps_between_waits):
                step(ids)
            wait(device)
            steps += steps_between_waits
    kept = SPEED_KEPT * processes if processes > 1 else 1
    return steps * streams * config.data.seq_length / passed * kept


def _stepping(
    module: LanguageModel, trainer: TrainerOptions, device: torch.device
) -> Callable[[torch.Tensor], None]:
    precision, bound = trainer.precision, trainer.gradient_clip_val
    kind = torch.float16 if precision == "16-mixed" else torch.bfloat16
    autocast = torch.autocast(device.type, dtype=kind, enabled=precision != "32-true")
    scaled = precision == "16-mixed"
    optimizer = optimizer_of(
        module.trained_parameters(), module.make_optimizer, scaled, module.num_batch_shards
    )
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
