"""How many characters a second this machine trains, measured, and what is chosen by it."""

from __future__ import annotations

import functools
import time
from typing import Any

import torch

from charrnn.allocation import keep_freed_memory
from charrnn.models.trained import Architecture
from charrnn.runs import budget, hardware
from charrnn.runs.fit import module_of, threads
from charrnn.runs.request import Config
from charrnn.runs.world import World
from charrnn.say import say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel, TextDataModule
from charrnn.training.signatures import optimizer_of

# of the time that there is, and at most (seconds), for each size that is measured
SHARE, AT_MOST = 0.006, 1.0
# the first steps make kernels and memory ready
WARM, LEAST = 2, 3
# a GPU is not waited for in each step, as it is not in training
AT_ONCE = {"cuda": 8}
# what is left of the speed of each of several processes, which wait for one another
TOGETHER = 0.8
# is measured with some: drawing random numbers takes time
SOME_DROPOUT = 0.3


def within_budget(
    config: Config, given: tuple[str, ...], data: TextDataModule, world: World
) -> Config:
    """The config with all that its budget decides, which is said in two lines.

    Args:
        given: the options that were asked for, dotted; they stay.
        data: is cut into as many streams as are chosen.
    """
    keep_freed_memory()  # as it is in training
    trainer = hardware.resolve(config, world)
    processes = hardware.processes(trainer)
    seconds = budget.seconds(config)
    kept = budget.kept(config, given)
    validated = data.split("val") if config["validate_every"] != 0 else None

    def parameters_of(hidden_size: int) -> int:
        return _parameters({**config["model"], "hidden_size": hidden_size}, len(data.vocabulary))

    @functools.cache
    def speed_of(hidden_size: int, batch_size: int) -> float:
        options: dict[str, Any] = {budget.HIDDEN_SIZE: hidden_size, budget.BATCH_SIZE: batch_size}
        if budget.DROPOUT_OPTION not in kept:
            options[budget.DROPOUT_OPTION] = SOME_DROPOUT
        tried = budget.replaced(config, options)
        tried = {**tried, "trainer": hardware.resolve(tried, world)}
        speed = measured(tried, data.vocabulary, processes, min(AT_MOST, SHARE * seconds))
        return speed * processes * (TOGETHER if processes > 1 else 1)

    asked = budget.Asked(
        characters=len(data.streams.ids),
        validated=0 if validated is None else len(validated),
        seconds=seconds,
        parameters_of=parameters_of,
        given=kept,
        seq_length=data.seq_length,
        processes=processes,
        windows_a_step=trainer.get("accumulate_grad_batches", 1),
    )
    chosen = budget.chosen(asked, speed_of)
    if trainer["accelerator"] == "gpu":
        torch.cuda.empty_cache()  # another process may train there
    options = dict(chosen.options)
    if "warmup_steps" not in config["schedule"]:  # a schedule of one's own
        options.pop(budget.WARMUP_STEPS, None)
    lr = config["optimizer"].get("lr")
    if config["init_from"] is not None and budget.RATE not in given and lr is not None:
        options[budget.RATE] = budget.TUNING * lr
    model = config["model"]
    say(f"budget={config['budget']}: {model['kind']} of {model['num_layers']} x {chosen.what}")
    say(f"  measured {chosen.why}")
    data.batch_size = options[budget.BATCH_SIZE]
    return budget.replaced(config, options)


def measured(config: Config, vocabulary: Vocabulary, processes: int, seconds: float) -> float:
    """Characters a second that one process trains of random text, as a run would.

    Args:
        config: with every choice about the machine made.
        processes: the streams are shared out among so many.
        seconds: to measure in, besides the first steps.
    """
    trainer, length = config["trainer"], config["data"]["seq_length"]
    streams = max(1, config["data"]["batch_size"] // processes)
    device = _device(trainer)
    with threads(config, World("", 0, 0, processes, processes)) as shares:
        module = module_of(config, vocabulary).to(device).train()
        module.stream_threads = shares
        step = _stepping(module, config, device)
        random = torch.Generator().manual_seed(0)
        ids = torch.randint(len(vocabulary), (streams, length + 1), generator=random).to(device)
        at_once = AT_ONCE.get(device.type, 1)
        for _ in range(WARM):
            step(ids)
        _wait(device)
        steps, began = 0, time.perf_counter()
        while steps < LEAST or time.perf_counter() - began < seconds:
            for _ in range(at_once):
                step(ids)
            _wait(device)
            steps += at_once
        return steps * streams * length / (time.perf_counter() - began)


def _stepping(module: LanguageModel, config: Config, device: torch.device) -> Any:
    precision, bound = config["trainer"]["precision"], config["trainer"]["gradient_clip_val"]
    kind = torch.float16 if precision == "16-mixed" else torch.bfloat16
    autocast = torch.autocast(device.type, dtype=kind, enabled=precision != "32-true")
    optimizer = optimizer_of(module.network, module.make_optimizer, device.type in ("cpu", "cuda"))
    parameters = list(module.network.parameters())

    def step(ids: torch.Tensor) -> None:
        optimizer.zero_grad()
        with autocast:
            loss = module.training_step((ids[:, :-1], ids[:, 1:], False), 0)
        loss.backward()
        if bound is not None:
            torch.nn.utils.clip_grad_norm_(parameters, bound)
        optimizer.step()

    return step


def _device(trainer: dict[str, Any]) -> torch.device:
    if trainer["accelerator"] != "gpu":
        return torch.device(trainer["accelerator"])
    devices = trainer["devices"]
    return torch.device("cuda", devices[0] if isinstance(devices, list) else 0)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _parameters(model: dict[str, Any], vocabulary_size: int) -> int:
    own = {name: model[name] for name in ("kind", "embedding_size", "hidden_size", "num_layers")}
    shapes = Architecture(**own, vocabulary_size=vocabulary_size).shapes()
    return sum(torch.Size(shape).numel() for shape in shapes.values())
