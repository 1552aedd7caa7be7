"""Compute the loss of a split in validation and test, and keep the best of the validations."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from charrnn.data import SplitIds
from charrnn.errors import RunError
from charrnn.evaluation.stream_losses import compute_rank_loss
from charrnn.networks.network import Network, State
from charrnn.networks.precision import set_float32_precision
from charrnn.options.training import BEST_LOSS, BEST_LOSS_AS_WRITTEN
from charrnn.say import BITS_PER_NAT
from charrnn.training.datamodule import WholeText, Window

# The logits that are mixed with counts take 16 MB. With a vocabulary of 65, these are 129,000
# characters.
MAX_LOGITS = 1 << 23
MAX_LOSS = 20.0  # nats per character; a higher validation loss means that training diverged


@dataclass
class BestValidation:
    """The lowest validation loss so far (nats per character), and its step; step 0 means none.

    `loss_as_written` is the loss of the same network as the model writes.
    """

    loss: float = math.inf
    loss_as_written: float = math.inf
    step: int = 0

    @property
    def losses(self) -> dict[str, float]:
        """The two losses by the names under which they are logged."""
        return {BEST_LOSS_AS_WRITTEN: self.loss_as_written, BEST_LOSS: self.loss}

    def update(self, loss: float, loss_as_written: float, step: int) -> None:
        """Record a validation. Raise RunError if the loss is above `MAX_LOSS` or NaN."""
        if not loss <= MAX_LOSS:
            raise RunError(
                f"training diverged: after step {step:,} the validation loss is {loss:.4g} nats "
                f"per character; try a smaller optimizer.lr or trainer.gradient_clip_val"
            )
        if loss < self.loss:
            self.loss, self.loss_as_written, self.step = loss, loss_as_written, step


def as_window(batch: Any) -> Window:
    """Convert a batch to a window. A batch without the third item starts from the zero state."""
    ids, targets, *begins = batch
    return ids, targets, bool(begins[0]) if begins else True


class SplitScores:
    """The loss of a split, over all batches, loaders and ranks, always computed in float32.

    In a training, the loss as the model writes is logged too: the loss of the first characters,
    with counts if they lower it. It is measured on the same characters for all runs of a text.

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
        # the losses of all characters and of the first characters, and their numbers
        self._sums = np.zeros(4)
        if "torch._dynamo" in sys.modules:  # torch.compile does not support memory-mapped text
            self.add = torch.compiler.disable(self.add)  # type: ignore[method-assign]

    def add(self, batch: Any) -> None:
        """Score a batch: a window, or a `WholeText`, of which each rank scores a part."""
        autocast = torch.autocast(self.module.device.type, enabled=False)
        with autocast, set_float32_precision(tf32=False):
            if isinstance(batch, WholeText):
                self._sums += self._score_text(batch.ids)
                self.logits = None  # only the first text fills them
            else:
                ids, targets, begins = as_window(batch)
                logits, self._state = self.network(ids, None if begins else self._state)
                logits = logits.flatten(0, 1).float()
                loss = F.cross_entropy(logits, targets.flatten(), reduction="sum").item()
                self._sums += (loss, 0, targets.numel(), 0)

    def _report(self, done: int, total: int) -> None:
        """Call the hook `on_scoring` of the callbacks that have it."""
        for callback in self.trainer.callbacks:
            if hook := getattr(callback, "on_scoring", None):
                hook(self.trainer, self.module, done, total)

    def _score_text(self, ids: SplitIds) -> tuple[float, ...]:
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        count = len(ids) - 1
        losses = np.zeros(min(count, MAX_LOGITS // len(self.module.vocabulary)), np.float32)
        loss = compute_rank_loss(
            self.network, ids, rank, world_size,
            threads=self.threads, report=self._report, losses=losses, logits=self.logits,
        )  # fmt: skip
        counts = (0, 0) if rank else (count, len(losses))  # of all ranks
        return loss, float(losses.sum(dtype=np.float64)), *counts

    def log(self, split: str, loss_with_counts: float | None = None) -> tuple[float, float] | None:
        """Log the mean losses (nats per character); return the network's and the loss as written.

        Return None if there was no batch.

        Args:
            loss_with_counts: of the first characters, on rank 0; None if counts do not lower it.
        """
        trainer = self.trainer
        sums: Any = self._sums
        if trainer.world_size > 1:
            sums = torch.tensor(sums, device=trainer.strategy.root_device)
            sums = trainer.strategy.reduce(sums, reduce_op="sum")
            loss_with_counts = trainer.strategy.broadcast(loss_with_counts)
        total, first_total, count, first_count = sums.tolist()
        if not count:
            return None
        loss = total / count
        values = {f"{split}/loss": loss, f"{split}/bits_per_character": loss * BITS_PER_NAT}
        is_fitting, as_written = trainer.state.fn == "fit", loss
        if is_fitting and first_count:
            as_written = loss if first_count == count else first_total / first_count
            if loss_with_counts is not None:
                as_written = loss_with_counts
            values["val/loss_as_written"] = as_written
        for name, value in values.items():
            # validate() and test() return only values with logger=True.
            self.module.log(name, torch.tensor(value, dtype=torch.float64), logger=not is_fitting)
        if is_fitting and not trainer.sanity_checking:
            # Logged directly, because Lightning would log another step number.
            for logger in trainer.loggers:
                logger.log_metrics(values, trainer.global_step)
        return loss, as_written
