"""Decide the device, the processes, the precision and the threads of a run."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from charrnn.networks.precision import can_train_in_bf16, cpu_has_bf16
from charrnn.options.ranges import require
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
    trainer, model, has_gpu = config.trainer, config.model, torch.cuda.is_available()
    if trainer.accelerator in (None, "auto"):
        trainer.accelerator = "gpu" if has_gpu else "cpu"
    accelerator = trainer.accelerator
    why = "this machine has no GPU that torch can use; give cpu (a resume is then not bit-exact)"
    require(has_gpu or accelerator != "gpu", "trainer.accelerator", accelerator, why)
    if trainer.devices == "auto":
        trainer.devices = world.local_size
    if trainer.num_nodes == 1:
        trainer.num_nodes = world.size // world.local_size
    num_processes = count_processes(trainer)
    why = f"{world.launcher} started {world.size} processes in all; leave it and num_nodes out"
    is_as_started = not world.launcher or num_processes == world.size
    require(is_as_started, "trainer.devices", trainer.devices, why)
    why = (
        f"the text has {streams} stream(s), which cannot be split evenly over {num_processes} "
        f"processes; give a multiple of {num_processes}, a longer text, or other trainer.devices"
    )
    require(streams % num_processes == 0, "data.batch_size", config.data.batch_size, why)
    if num_processes > 1:
        why = "its statistics would differ between processes; give trainer.devices=1"
        require(not model.batchnorm, "model.batchnorm", model.batchnorm, why)
        trainer.strategy = "ddp"
    streams //= num_processes
    is_open = trainer.precision is None
    trainer.precision = _choose_precision(trainer.precision, accelerator, model.kind)
    if config.tf32 is None:
        config.tf32 = is_open and accelerator == "gpu" and trainer.precision == "32-true"
    require(not config.tf32 or accelerator == "gpu", "tf32", True, "needs a CUDA GPU; leave it out")
    if config.threads is None:
        threads = torch.get_num_threads()
        if accelerator == "cpu" and model.hidden_size <= SHARDED_HIDDEN:
            threads = _count_shards(model, streams, threads)
        config.threads = threads
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
    if precision == "16-mixed":
        why = "needs a CUDA GPU; use bf16-mixed or 32-true"
        require(accelerator == "gpu", "trainer.precision", precision, why)
    if precision == "bf16-mixed":
        why = (
            f"this {'CPU' if accelerator == 'cpu' else 'GPU'} cannot train a {kind} in bf16 (torch "
            f"does not support it, or uses float16 instead); use trainer.precision=32-true (a "
            f"resume is then not bit-exact)"
        )
        require(can_train_in_bf16(kind, device_type), "trainer.precision", precision, why)
    return precision


def _count_shards(model: DictConfig, streams: int, threads: int) -> int:
    """Return the number of shards of the batch; 1: the threads share the matrix products."""
    if model.batchnorm or model.hidden_size > SHARDED_HIDDEN:
        return 1
    return max(1, min(threads, streams // SHARD_STREAMS))
