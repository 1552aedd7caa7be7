"""What a run trains on: device, precision and threads, chosen once and then recorded."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from charrnn.errors import InputError
from charrnn.models.trained import Architecture
from charrnn.networks.network import Network
from charrnn.options.networks import NetworkOptions
from charrnn.options.training import TrainerNode, TrainerOptions, TrainOptions, count_of, not_none
from charrnn.runs.world import SINGLE_PROCESS, World, check_processes
from charrnn.training.bf16 import cpu_has_bf16

# Up to so many units the batch is split over the threads, where each gets so many streams: matmul
# threads would synchronise hundreds of times a step (docs/hydra.md). Two layers of 128 units,
# 16 streams on two cores that other programs use too: 45 ms a step with one thread, 51 with the
# batch split, 1,614 with the products.
SHARDED_HIDDEN, SHARD_STREAMS = 256, 8
# above, multiplications of a time step's product that a thread needs to have
PRODUCT_PER_THREAD = 32_000
# On a CPU, bf16 trains faster than float32 from this many streams and this many multiplications
# in the product of a time step on, by measurement. oneDNN has a kernel for a whole layer of an
# LSTM; the layers of the others are loops over small operations, with a conversion each. For a
# cell that is not in the table, auto means float32.
BF16_STREAMS_AND_PRODUCT = {"lstm": (8, 0), "gru": (1, 800_000), "rnn": (1, 1_600_000)}


def resolve(config: TrainOptions, world: World = SINGLE_PROCESS) -> TrainerNode:
    """The options of the trainer with every automatic choice made.

    Args:
        config: whose sizes are chosen.

    Raises:
        InputError: this machine lacks what was asked for (or recorded).
    """
    trainer, model = config.trainer, config.model
    accelerator = _accelerator(trainer.accelerator)
    devices = _devices(trainer.devices, accelerator, world)
    num_processes = check_processes(config, devices, world)
    streams = not_none(config.data.batch_size) // num_processes
    threads = trainer.threads
    if threads is None:
        # a launcher has divided the cores among its processes already
        threads = torch.get_num_threads() // (1 if world.launcher else count_of(devices))
        threads = _threads(model, streams, threads) if accelerator == "cpu" else max(1, threads)
    return replace(
        trainer,
        accelerator=accelerator,
        devices=devices,
        strategy="ddp" if num_processes > 1 else "auto",
        precision=_precision(trainer.precision, accelerator, model, streams),
        threads=threads,
    )


def _accelerator(accelerator: str) -> str:
    if accelerator == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    lacks_gpu = accelerator == "gpu" and not torch.cuda.is_available()
    if lacks_gpu or (accelerator == "mps" and not torch.backends.mps.is_available()):
        raise InputError(
            f"trainer.accelerator={accelerator}: this machine has no such GPU that torch can use; "
            f"trainer.accelerator=cpu trains (or goes on, but not to the bit) without"
        )
    return accelerator


def _devices(devices: Any, accelerator: str, world: World) -> Any:
    gpus = torch.cuda.device_count()
    if devices == "auto":
        alone = gpus if accelerator == "gpu" else 1
        devices = world.local_size if world.launcher else alone
    if accelerator == "gpu":
        if (max(devices) + 1 if isinstance(devices, list) else devices) > gpus:
            raise InputError(f"trainer.devices={devices}: this machine has {gpus} GPU(s)")
    elif isinstance(devices, list):
        raise InputError(f"trainer.devices={devices}: give a number of processes, not a list")
    return devices


def _precision(precision: str, accelerator: str, model: NetworkOptions, streams: int) -> str:
    """For auto bf16-mixed where it is native and pays, else float32, by a process's streams."""
    device_type = "cuda" if accelerator == "gpu" else accelerator
    if precision == "auto" and accelerator == "gpu":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if has_bf16 and trains_in_bf16(model.kind, "cuda") else "tf32-true"
    if precision == "auto":
        min_streams, min_product = BF16_STREAMS_AND_PRODUCT.get(model.kind, (1, math.inf))
        pays = streams >= min_streams and _product(model, streams) >= min_product
        has_bf16 = accelerator == "cpu" and cpu_has_bf16()
        pays = pays and has_bf16 and trains_in_bf16(model.kind, "cpu")
        return "bf16-mixed" if pays else "32-true"
    if precision in ("16-mixed", "tf32-true") and accelerator != "gpu":
        raise InputError(
            f"trainer.precision={precision}: needs a CUDA GPU; here bf16-mixed or 32-true"
        )
    if precision == "bf16-mixed" and not trains_in_bf16(model.kind, device_type):
        raise InputError(
            f"trainer.precision=bf16-mixed: this {'CPU' if accelerator == 'cpu' else 'GPU'} cannot "
            f"train a {model.kind} in bf16 (torch has none for it, or takes float16 for it); "
            f"trainer.precision=32-true trains (or goes on, but not to the bit) without"
        )
    return precision


def _product(model: NetworkOptions, streams: int) -> int:
    """Multiplications in the product of a time step."""
    return streams * not_none(model.hidden_size) ** 2


def _threads(model: NetworkOptions, streams: int, available: int) -> int:
    """As many of a CPU's available threads as have enough to do."""
    if not_none(model.hidden_size) <= SHARDED_HIDDEN:
        return num_batch_shards(model, streams, available)
    return max(1, min(available, _product(model, streams) // PRODUCT_PER_THREAD))


def num_batch_shards(model: NetworkOptions, streams: int, threads: int) -> int:
    """Into how many shards a CPU's threads divide the streams; 1: they share out products."""
    if model.batchnorm or not_none(model.hidden_size) > SHARDED_HIDDEN:
        return 1
    return max(1, min(threads, streams // SHARD_STREAMS))


def make_deterministic(trainer: TrainerOptions) -> None:
    """Let a CUDA GPU compute the same numbers each time, and float32 as float32, or TF32.

    cuBLAS, and cuDNN's recurrent layers with it, are deterministic with a fixed workspace
    only, which is read when the GPU is first used. TF32, on by default in cuDNN, keeps 10 of
    23 bits: a validation loss, which never has it, would be another than `evaluate`'s on a CPU.
    """
    if trainer.accelerator == "gpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = trainer.precision == "tf32-true"


def processes(trainer: TrainerOptions) -> int:
    """How many processes train together, of resolved options."""
    return int(count_of(trainer.devices)) * trainer.num_nodes


@functools.cache
def trains_in_bf16(kind: str, device_type: str) -> bool:
    """Whether a network of a kind computes in bf16 under autocast on a device: one step tells.

    Without AVX-512 oneDNN has no bf16 kernel for an LSTM and raises. What autocast hands to cuDNN's
    layers is float16, whatever its own type (aten/src/ATen/cudnn/AutocastRNN.cpp), and their
    gradients vanish without a GradScaler.
    """
    architecture = Architecture(kind, hidden_size=8, num_layers=1, vocabulary_size=8)
    device = torch.device(device_type)
    with torch.random.fork_rng(devices=[]):
        network = Network(architecture).to(device)
        ids = torch.zeros(2, 3, dtype=torch.int64, device=device)
        try:
            with torch.autocast(device_type, dtype=torch.bfloat16):
                logits, state = network(ids)
            logits.float().sum().backward()
        except RuntimeError:
            return False
    return all(part.dtype != torch.float16 for layer in state for part in layer)


def describe(trainer: TrainerOptions) -> str:
    """One line about resolved options."""
    if trainer.accelerator == "cpu":
        threads = not_none(trainer.threads)
        name = f"CPU, {threads} thread" + "s" * (threads != 1)
    else:
        is_gpu = trainer.accelerator == "gpu"
        name = torch.cuda.get_device_name(device(trainer)) if is_gpu else "Apple GPU"
    several = f", {count} processes" if (count := processes(trainer)) > 1 else ""
    return f"{name}{several}, precision {trainer.precision}"


def device(trainer: TrainerOptions) -> torch.device:
    """The first device of resolved options."""
    if trainer.accelerator != "gpu":
        return torch.device(trainer.accelerator)
    devices = trainer.devices
    return torch.device("cuda", devices[0] if isinstance(devices, list) else 0)


@contextlib.contextmanager
def threads(config: TrainOptions, streams: int, world: World) -> Iterator[int]:
    """Let torch use the threads that were chosen; yields the number of batch shards.

    Args:
        streams: of this process, fewer than `data.batch_size` where the text is short.
    """
    trainer, num_shards, count = config.trainer, 1, not_none(config.trainer.threads)
    if world.launcher:
        # else Lightning sets a number of its own
        os.environ["OMP_NUM_THREADS"] = str(count)
    if trainer.accelerator == "cpu":
        planned = not_none(config.data.batch_size) // world.size
        num_shards = min(num_batch_shards(config.model, planned, count), streams)
    previous = torch.get_num_threads()
    torch.set_num_threads(count // num_shards)
    try:
        yield num_shards
    finally:
        torch.set_num_threads(previous)  # a sweep's next run chooses anew
