"""Compute the loss of a split in validation and test."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from charrnn.evaluation.stream_losses import compute_rank_loss
from charrnn.networks.float32 import set_float32_precision
from charrnn.networks.network import Network, State
from charrnn.say import BITS_PER_NAT
from charrnn.training.datamodule import WholeText, Window


def as_window(batch: Any) -> Window:
    """Convert a batch to a window. A batch without the third item starts from the zero state."""
    ids, targets, *begins = batch
    return ids, targets, bool(begins[0]) if begins else True


class SplitScores:
    """The loss of a split, over all batches, loaders and ranks, always computed in float32.

    Args:
        module: a `LanguageModel` with a trainer.
        logits: an array (P, V) that is filled with the logits; see `compute_rank_loss`.
    """

    def __init__(self, module: Any, logits: npt.NDArray[np.float16] | None = None) -> None:
        self.module = module
        self.trainer: L.Trainer = module.trainer
        self.network: Network = module.network
        self.threads = module.num_batch_shards * torch.get_num_threads()  # on a CPU
        self.logits = logits
        self._state: State | None = None
        self._sums: list[tuple[float, int]] = []  # loss and number of characters of each batch
        if "torch._dynamo" in sys.modules:  # torch.compile does not support memory-mapped text
            self.add = torch.compiler.disable(self.add)  # type: ignore[method-assign]

    def add(self, batch: Any) -> None:
        """Score a batch: a window, or a `WholeText`, of which each rank scores a part."""
        autocast = torch.autocast(self.module.device.type, enabled=False)
        with autocast, set_float32_precision(tf32=False):
            if isinstance(batch, WholeText):
                rank, world_size = self.trainer.global_rank, self.trainer.world_size
                loss = compute_rank_loss(
                    self.network, batch.ids, rank, world_size,
                    threads=self.threads, report=self._report, logits=self.logits,
                )  # fmt: skip
                count = len(batch.ids) - 1 if rank == 0 else 0
                self.logits = None  # only the first text fills them
            else:
                ids, targets, begins = as_window(batch)
                logits, self._state = self.network(ids, None if begins else self._state)
                logits = logits.flatten(0, 1).float()
                loss = F.cross_entropy(logits, targets.flatten(), reduction="sum").item()
                count = targets.numel()
        self._sums.append((loss, count))

    def _report(self, done: int, total: int) -> None:
        """Call the hook `on_scoring` of the callbacks that have it."""
        for callback in self.trainer.callbacks:
            if hook := getattr(callback, "on_scoring", None):
                hook(self.trainer, self.module, done, total)

    def log(self, split: str) -> float | None:
        """Log the mean loss (nats per character) and return it; None if there was no batch."""
        trainer = self.trainer
        total, count = (sum(values) for values in zip((0.0, 0), *self._sums, strict=True))
        if trainer.world_size > 1:
            sums = torch.tensor([total, count], dtype=torch.float64)
            sums = trainer.strategy.reduce(sums.to(trainer.strategy.root_device), reduce_op="sum")
            total, count = sums.tolist()
        if not count:
            return None
        loss = total / count
        values = {f"{split}/loss": loss, f"{split}/bits_per_character": loss * BITS_PER_NAT}
        is_fitting = trainer.state.fn == "fit"
        for name, value in values.items():
            # validate() and test() return only values with logger=True.
            self.module.log(name, torch.tensor(value, dtype=torch.float64), logger=not is_fitting)
        if is_fitting and not trainer.sanity_checking:
            # Logged directly, because Lightning would log another step number.
            for logger in trainer.loggers:
                logger.log_metrics(values, trainer.global_step)
        return loss
