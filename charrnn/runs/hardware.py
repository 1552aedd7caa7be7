"""What a run trains on: device, precision and threads, chosen once and then recorded."""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import torch

from charrnn.errors import InputError
from charrnn.models.trained import Architecture
from charrnn.networks.network import Network
from charrnn.options.training import (
    DecidedModel,
    DecidedOptions,
    DecidedTrainer,
    TrainerNode,
    count_of,
)
from charrnn.runs.world import World
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


def decide_trainer(
    trainer: TrainerNode, model: DecidedModel, batch_size: int, world: World
) -> DecidedTrainer:
    """Return the options of the trainer with device, precision and threads decided.

    Args:
        batch_size: streams of all processes together.

    Raises:
        InputError: this machine lacks what an option (or a record) asks for.
    """
    accelerator = _choose_accelerator(trainer.accelerator)
    devices = _choose_devices(trainer.devices, accelerator, world)
    num_processes = _count_processes(devices, trainer.num_nodes, world)
    _check_split(batch_size, model.batchnorm, num_processes)
    streams = batch_size // num_processes
    threads = trainer.threads
    if threads is None:
        # a launcher has divided the cores among its processes already
        threads = torch.get_num_threads() // (1 if world.launcher else count_of(devices))
        threads = (
            _choose_threads(model, streams, threads) if accelerator == "cpu" else max(1, threads)
        )
    choices = {
        "accelerator": accelerator,
        "devices": devices,
        "strategy": "ddp" if num_processes > 1 else "auto",
        "precision": _choose_precision(trainer.precision, accelerator, model, streams),
        "threads": threads,
    }
    return DecidedTrainer(**{**vars(trainer), **choices})


def _count_processes(devices: int | list[int], num_nodes: int, world: World) -> int:
    """Return how many processes train on these devices of each machine.

    Raises:
        InputError: the launcher has started another number of processes.
    """
    local = count_of(devices)
    if world.launcher and (local, num_nodes) != (world.local_size, world.nodes):
        raise InputError(
            f"trainer.devices={devices} trainer.num_nodes={num_nodes}: {world.launcher} started "
            f"others; give trainer.devices={world.local_size} trainer.num_nodes={world.nodes}"
        )
    if not world.launcher and num_nodes > 1:
        raise InputError(
            f"trainer.num_nodes={num_nodes}: charrnn starts processes on its own machine "
            f"only; for several machines start it with torchrun or srun"
        )
    return int(local) * num_nodes


def _check_split(batch_size: int, has_batchnorm: bool, num_processes: int) -> None:
    """Raise InputError if so many processes cannot share the streams."""
    if batch_size % num_processes:
        raise InputError(
            f"data.batch_size={batch_size}: cannot be split evenly over {num_processes} processes; "
            f"make it a multiple of {num_processes}, or change trainer.devices"
        )
    if has_batchnorm and num_processes > 1:
        raise InputError(
            f"model.batchnorm=true: its statistics would differ between {num_processes} processes; "
            f"train it in one, with trainer.devices=1"
        )


def _choose_accelerator(accelerator: str) -> str:
    if accelerator == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    lacks_gpu = accelerator == "gpu" and not torch.cuda.is_available()
    if lacks_gpu or (accelerator == "mps" and not torch.backends.mps.is_available()):
        raise InputError(
            f"trainer.accelerator={accelerator}: this machine has no such GPU that torch can use; "
            f"trainer.accelerator=cpu trains (or goes on, but not to the bit) without"
        )
    return accelerator


def _choose_devices(devices: Any, accelerator: str, world: World) -> int | list[int]:
    gpus = torch.cuda.device_count()
    if devices == "auto":
        alone = gpus if accelerator == "gpu" else 1
        devices = world.local_size if world.launcher else alone
    if accelerator == "gpu":
        if (max(devices) + 1 if isinstance(devices, list) else devices) > gpus:
            raise InputError(f"trainer.devices={devices}: this machine has {gpus} GPU(s)")
    elif isinstance(devices, list):
        raise InputError(f"trainer.devices={devices}: give a number of processes, not a list")
    decided: int | list[int] = devices
    return decided


def _choose_precision(precision: str, accelerator: str, model: DecidedModel, streams: int) -> str:
    """For auto bf16-mixed where it is native and pays, else float32, by a process's streams."""
    device_type = "cuda" if accelerator == "gpu" else accelerator
    if precision == "auto" and accelerator == "gpu":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if has_bf16 and trains_in_bf16(model.kind, "cuda") else "tf32-true"
    if precision == "auto":
        min_streams, min_product = BF16_STREAMS_AND_PRODUCT.get(model.kind, (1, math.inf))
        pays = streams >= min_streams and _count_products(model, streams) >= min_product
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


def _count_products(model: DecidedModel, streams: int) -> int:
    """Return the multiplications in the product of a time step."""
    return streams * model.hidden_size**2


def _choose_threads(model: DecidedModel, streams: int, available: int) -> int:
    """Return how many of a CPU's available threads have enough to do."""
    if model.hidden_size <= SHARDED_HIDDEN:
        return _count_shards(model, streams, available)
    return max(1, min(available, _count_products(model, streams) // PRODUCT_PER_THREAD))


def _count_shards(model: DecidedModel, streams: int, threads: int) -> int:
    """Return into how many shards threads divide the streams; 1: they share out the products."""
    if model.batchnorm or model.hidden_size > SHARDED_HIDDEN:
        return 1
    return max(1, min(threads, streams // SHARD_STREAMS))


def count_batch_shards(options: DecidedOptions, streams: int) -> int:
    """Return into how many shards a process divides its streams.

    Args:
        streams: of this process, fewer than `data.batch_size` where the text is short.
    """
    if options.trainer.accelerator != "cpu":
        return 1
    planned = options.data.batch_size // options.trainer.num_processes
    return min(_count_shards(options.model, planned, options.trainer.threads), streams)


def make_deterministic(trainer: DecidedTrainer) -> None:
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


def describe(trainer: DecidedTrainer) -> str:
    """Return a line about the device, the processes and the precision."""
    if trainer.accelerator == "cpu":
        name = f"CPU, {trainer.threads} thread" + "s" * (trainer.threads != 1)
    else:
        is_gpu = trainer.accelerator == "gpu"
        name = torch.cuda.get_device_name(first_device(trainer)) if is_gpu else "Apple GPU"
    several = f", {count} processes" if (count := trainer.num_processes) > 1 else ""
    return f"{name}{several}, precision {trainer.precision}"


def first_device(trainer: DecidedTrainer) -> torch.device:
    """Return the first device of the trainer."""
    if trainer.accelerator != "gpu":
        return torch.device(trainer.accelerator)
    devices = trainer.devices
    return torch.device("cuda", devices[0] if isinstance(devices, list) else 0)
