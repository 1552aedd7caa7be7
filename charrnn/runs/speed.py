"""How many characters a second this machine trains, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from charrnn.options.ranges import seconds_of
from charrnn.options.training import TrainOptions, not_none
from charrnn.runs import hardware
from charrnn.runs.freed_memory import keep_freed_memory
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
    seconds = min(MOST_SECONDS, MEASURING_SHARE * seconds_of(not_none(config.budget)))
    streams = max(1, not_none(config.data.batch_size) // processes)
    device, precision = hardware.device(config.trainer), config.trainer.precision
    with hardware.threads(config, streams, World("", 0, 0, processes, processes)) as num_shards:
        module = build_module(config, vocabulary).to(device).train()
        module.num_batch_shards = num_shards
        is_scaled = precision == "16-mixed"
        autocast = torch.autocast(
            device.type,
            dtype=torch.float16 if is_scaled else torch.bfloat16,
            enabled=precision.endswith("mixed"),
        )
        optimizer = optimizer_of(
            module.trained_parameters(), module.make_optimizer, is_scaled, num_shards
        )
        random = torch.Generator().manual_seed(0)
        size = (streams, config.data.seq_length + 1)
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
    kept = SPEED_KEPT * processes if processes > 1 else 1
    return steps * streams * config.data.seq_length / passed * kept
