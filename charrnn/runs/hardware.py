"""Decide the device, the processes, the precision and the threads of a run."""

from __future__ import annotations

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


def decide_hardware(config: DictConfig, streams: int, world: World) -> None:
    """Write what is open about the device, the processes, the precision and the threads.

    Raise InputError for an option that needs a GPU or bf16 if this machine lacks it. Lightning
    refuses the other devices that it cannot use.

    Args:
        config: its network is decided.
        streams: the streams of all ranks: `data.batch_size`, or fewer of a short text.
    """
    trainer, model = config.trainer, config.model
    if trainer.accelerator in (None, "auto"):
        trainer.accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    accelerator = trainer.accelerator
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise InputError(
            "trainer.accelerator=gpu: this machine has no GPU that torch can use; use "
            "trainer.accelerator=cpu (a resume is then not bit-exact)"
        )
    if trainer.devices == "auto":
        trainer.devices = world.local_size
    if trainer.num_nodes == 1:
        trainer.num_nodes = world.size // world.local_size
    num_processes = count_processes(trainer)
    if world.launcher and num_processes != world.size:
        raise InputError(
            f"trainer.devices={trainer.devices} trainer.num_nodes={trainer.num_nodes}: "
            f"{world.launcher} started {world.size} processes in all; leave both options out"
        )
    if streams % num_processes:
        raise InputError(
            f"data.batch_size={config.data.batch_size}: the text has {streams} stream(s), which "
            f"cannot be split evenly over {num_processes} processes; give a multiple of "
            f"{num_processes}, a longer text, or another trainer.devices"
        )
    if num_processes > 1:
        if model.batchnorm:
            raise InputError(
                f"model.batchnorm=true: its statistics would differ between {num_processes} "
                f"processes; train it in one process, with trainer.devices=1"
            )
        trainer.strategy = "ddp"
    streams //= num_processes
    if config.tf32 and accelerator != "gpu":
        raise InputError("tf32=true: needs a CUDA GPU; leave it out")
    precision = _choose_precision(trainer.precision, accelerator, model.kind)
    if config.tf32 is None:
        is_open = trainer.precision is None and accelerator == "gpu"
        config.tf32 = is_open and precision == "32-true"
    trainer.precision = precision
    if config.threads is None:
        # A launcher has already divided the cores among its processes.
        num_sharing = 1 if world.launcher else count_devices(trainer.devices)
        threads = torch.get_num_threads() // num_sharing
        if accelerator == "cpu" and model.hidden_size <= SHARDED_HIDDEN:
            threads = _count_shards(model, streams, threads)
        config.threads = max(1, threads)
    if model.num_batch_shards is None:
        shards = _count_shards(model, streams, config.threads) if accelerator == "cpu" else 1
        model.num_batch_shards = shards


def count_processes(trainer: DictConfig) -> int:
    """Return the number of processes on all machines, of a decided trainer."""
    return count_devices(trainer.devices) * int(trainer.num_nodes)


def _choose_precision(precision: str | None, accelerator: str, kind: str) -> str:
    """Return the precision; by default bf16-mixed if it is native and faster.

    On a CPU it is faster for an LSTM: oneDNN has a kernel for a whole layer. Other layers are loops
    over small operations that each convert.
    """
    device_type = "cuda" if accelerator == "gpu" else accelerator
    if precision is None:
        has_bf16 = accelerator == "cpu" and kind == "lstm" and cpu_has_bf16()
        if accelerator == "gpu":
            has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if has_bf16 and can_train_in_bf16(kind, device_type) else "32-true"
    precision = PRECISIONS.get(precision, precision)
    if precision == "16-mixed" and accelerator != "gpu":
        raise InputError("trainer.precision=16-mixed: needs a CUDA GPU; use bf16-mixed or 32-true")
    if precision == "bf16-mixed" and not can_train_in_bf16(kind, device_type):
        raise InputError(
            f"trainer.precision=bf16-mixed: this {'CPU' if accelerator == 'cpu' else 'GPU'} cannot "
            f"train a {kind} in bf16 (torch does not support it, or uses float16 instead); "
            f"use trainer.precision=32-true (a resume is then not bit-exact)"
        )
    return precision


def _count_shards(model: DictConfig, streams: int, threads: int) -> int:
    """Return the number of shards of the batch; 1: the threads share the matrix products."""
    if model.batchnorm or model.hidden_size > SHARDED_HIDDEN:
        return 1
    return max(1, min(threads, streams // SHARD_STREAMS))
