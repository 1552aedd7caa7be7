"""Print what a run trains on when training starts."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch

from charrnn.files import shorten_path
from charrnn.say import say
from charrnn.training.datamodule import TextDataModule


class Announcement(L.Callback):
    """Prints the text, the network, the streams and the device of a `LanguageModel`."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        data = trainer.datamodule
        if not trainer.is_global_zero or not isinstance(data, TextDataModule):
            return
        steps = trainer.estimated_stepping_batches
        encoded, streams, arch = data.encoded, data.streams, pl_module.network.architecture
        sizes = {name: len(ids) for name, ids in encoded.splits.items()}
        say(f"corpus: {data.source}")
        say(f"  {sum(sizes.values()):,} characters, {len(data.vocabulary):,} different ones")
        say("  " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
        say(
            f"model: {arch.kind}, {arch.num_layers} x {arch.hidden_size}, embedding "
            f"{arch.embedding_size}, dropout {arch.dropout:g}; "
            f"{arch.num_parameters:,} parameters"
        )
        total = "" if steps == math.inf else f", {pl_module.format_epochs(steps)} epochs in all"
        say(
            f"streams: {streams.batch_size} x {streams.seq_length} characters a step, "
            f"{pl_module.steps_per_epoch:,} steps an epoch{total}"
        )
        say(f"device: {_describe_device(trainer, pl_module)}")
        if trainer.ckpt_path:
            path = shorten_path(str(trainer.ckpt_path))
            say(f"resuming from {path}, step {trainer.global_step:,}")


def _describe_device(trainer: L.Trainer, pl_module: Any) -> str:
    """Describe the device, the processes and the precision in a line."""
    device = trainer.strategy.root_device
    if device.type == "cpu":
        threads = pl_module.num_batch_shards * torch.get_num_threads()
        name = f"CPU, {threads} thread" + "s" * (threads != 1)
    else:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple GPU"
    several = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    return f"{name}{several}, precision {trainer.precision}"
