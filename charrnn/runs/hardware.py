"""Decide the device, the processes, the precision and the threads of a run."""

from __future__ import annotations

import math
from typing import Any

import torch
from omegaconf import DictConfig

from charrnn.errors import InputError
from charrnn.networks.precision import can_train_in_bf16, cpu_has_bf16
from charrnn.options.training import PRECISIONS, count_devices
from charrnn.runs.ranks import World

# Up to this hidden size, threads share the batch (see charrnn.training.batch_shards), with at least
# this many streams each. A step of two layers of 128 units with 16 streams, on two busy cores, took
# 45 ms with one thread, 51 ms with a shared batch, and 1,614 ms with shared matrix products.
SHARDED_HIDDEN, SHARD_STREAMS = 256, 8
# For a larger hidden size: multiplications per thread in the matrix product of a time step.
PRODUCT_PER_THREAD = 32_000
# On a CPU, bf16 trains faster than float32 from this many streams and this many multiplications
# in the product of a time step, by measurement. oneDNN has a kernel for a whole LSTM layer; the
# other layers are loops over small operations that each convert. For other cells, auto is float32.
BF16_STREAMS_AND_PRODUCT = {"lstm": (8, 0), "gru": (1, 800_000), "rnn": (1, 1_600_000)}


def decide_hardware(config: DictConfig, streams: int, world: World) -> None:
    """Write what is open about the device, the processes, the precision and the threads.

    Raise InputError if this machine does not support an option.

    Args:
        config: its network is decided.
        streams: the streams of all ranks: `data.batch_size`, or fewer of a short text.
    """
    trainer, model = config.trainer, config.model
    trainer.accelerator = accelerator = _choose_accelerator(trainer.accelerator)
    trainer.devices = devices = _choose_devices(trainer.devices, accelerator, world.local_size)
    if trainer.num_nodes == 1:
        trainer.num_nodes = world.size // world.local_size
    _check_launcher(devices, trainer.num_nodes, world)
    num_processes = count_processes(trainer)
    if num_processes > 1:
        _check_split(config, streams, num_processes)
        trainer.strategy = "ddp"
    streams //= num_processes
    if config.tf32 and accelerator != "gpu":
        raise InputError("tf32=true: needs a CUDA GPU; leave it out")
    precision = _choose_precision(trainer.precision, accelerator, model, streams)
    if config.tf32 is None:
        is_open = trainer.precision is None and accelerator == "gpu"
        config.tf32 = is_open and precision == "32-true"
    trainer.precision = precision
    if config.threads is None:
        # A launcher has already divided the cores among its processes.
        threads = torch.get_num_threads() // (1 if world.launcher else count_devices(devices))
        if accelerator == "cpu":
            threads = _choose_threads(model, streams, threads)
        config.threads = max(1, threads)
    if model.num_batch_shards is None:
        shards = _count_shards(model, streams, config.threads) if accelerator == "cpu" else 1
        model.num_batch_shards = shards


def count_processes(trainer: DictConfig) -> int:
    """Return the number of processes on all machines, of a decided trainer."""
    return count_devices(trainer.devices) * int(trainer.num_nodes)


def _check_launcher(devices: Any, num_nodes: int, world: World) -> None:
    """Raise InputError if the launcher started other processes."""
    nodes = world.size // world.local_size
    if world.launcher and (count_devices(devices), num_nodes) != (world.local_size, nodes):
        raise InputError(
            f"trainer.devices={devices} trainer.num_nodes={num_nodes}: {world.launcher} started "
            f"{world.local_size} process(es) on each of {nodes} machine(s); leave both options out"
        )


def _check_split(config: DictConfig, streams: int, num_processes: int) -> None:
    """Raise InputError if several processes cannot share the streams evenly."""
    if streams % num_processes:
        raise InputError(
            f"data.batch_size={config.data.batch_size}: the text has {streams} stream(s), which "
            f"cannot be split evenly over {num_processes} processes; give a multiple of "
            f"{num_processes}, a longer text, or another trainer.devices"
        )
    if config.model.batchnorm:
        raise InputError(
            f"model.batchnorm=true: its statistics would differ between {num_processes} processes; "
            f"train it in one process, with trainer.devices=1"
        )


def _choose_accelerator(accelerator: str | None) -> str:
    if accelerator in (None, "auto"):
        return "gpu" if torch.cuda.is_available() else "cpu"
    lacks_gpu = accelerator == "gpu" and not torch.cuda.is_available()
    if lacks_gpu or (accelerator == "mps" and not torch.backends.mps.is_available()):
        other = "mps" if torch.backends.mps.is_available() else "cpu"
        raise InputError(
            f"trainer.accelerator={accelerator}: this machine has no such GPU that torch can use; "
            f"use trainer.accelerator={other} (a resume is then not bit-exact)"
        )
    return accelerator


def _choose_devices(devices: Any, accelerator: str, num_local_ranks: int) -> Any:
    gpus = torch.cuda.device_count()
    devices = devices if isinstance(devices, int | str) else list(devices)
    if devices == "auto":
        devices = num_local_ranks
    if accelerator == "gpu":
        if (max(devices) + 1 if isinstance(devices, list) else devices) > gpus:
            raise InputError(f"trainer.devices={devices}: this machine has {gpus} GPU(s)")
    elif isinstance(devices, list):
        raise InputError(f"trainer.devices={devices}: give a number of processes, not a list")
    return devices


def _choose_precision(
    precision: str | None, accelerator: str, model: DictConfig, streams: int
) -> str:
    """Return the precision; by default bf16-mixed if it is native and faster for these streams."""
    device_type = "cuda" if accelerator == "gpu" else accelerator
    if precision is None:
        min_streams, min_product = BF16_STREAMS_AND_PRODUCT.get(model.kind, (1, math.inf))
        is_faster = streams >= min_streams and streams * model.hidden_size**2 >= min_product
        has_bf16 = accelerator == "cpu" and is_faster and cpu_has_bf16()
        if accelerator == "gpu":
            has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        uses_bf16 = has_bf16 and can_train_in_bf16(model.kind, device_type)
        return "bf16-mixed" if uses_bf16 else "32-true"
    precision = PRECISIONS.get(precision, precision)
    if precision == "16-mixed" and accelerator != "gpu":
        raise InputError("trainer.precision=16-mixed: needs a CUDA GPU; use bf16-mixed or 32-true")
    if precision == "bf16-mixed" and not can_train_in_bf16(model.kind, device_type):
        raise InputError(
            f"trainer.precision=bf16-mixed: this {'CPU' if accelerator == 'cpu' else 'GPU'} cannot "
            f"train a {model.kind} in bf16 (torch does not support it, or uses float16 instead); "
            f"use trainer.precision=32-true (a resume is then not bit-exact)"
        )
    return precision


def _choose_threads(model: DictConfig, streams: int, available: int) -> int:
    """Return how many of the available threads of a CPU have enough work."""
    if model.hidden_size <= SHARDED_HIDDEN:
        return _count_shards(model, streams, available)
    return max(1, min(available, streams * model.hidden_size**2 // PRODUCT_PER_THREAD))


def _count_shards(model: DictConfig, streams: int, threads: int) -> int:
    """Return the number of shards of the batch; 1: the threads share the matrix products."""
    if model.batchnorm or model.hidden_size > SHARDED_HIDDEN:
        return 1
    return max(1, min(threads, streams // SHARD_STREAMS))


def get_first_device(trainer: DictConfig) -> torch.device:
    """Return the first device of a decided trainer."""
    if trainer.accelerator != "gpu":
        return torch.device(trainer.accelerator)
    devices = trainer.devices
    return torch.device("cuda", 0 if isinstance(devices, int) else devices[0])
