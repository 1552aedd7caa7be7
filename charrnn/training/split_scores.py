"""Compute the loss of a split in validation and test."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from charrnn.data import SplitIds
from charrnn.evaluation.stream_losses import Report, compute_rank_loss
from charrnn.networks.network import Network, State
from charrnn.networks.precision import set_float32_precision
from charrnn.training.datamodule import WholeText, Window

# The logits that are mixed with counts take 16 MB. With a vocabulary of 65, these are 129,000
# characters.
MAX_LOGITS = 1 << 23


def as_window(batch: Any) -> Window:
    """Convert a batch to a window. A batch without the third item starts from the zero state."""
    ids, targets, *begins = batch
    return ids, targets, bool(begins[0]) if begins else True


class SplitScores:
    """The loss of a split, over all batches, loaders and ranks, always computed in float32.

    The loss of the first characters is computed too. They are the same characters for all runs of
    a text, and the counts are mixed there.

    Args:
        module: a `LanguageModel` with a trainer.
        report: called every half second with the scored characters and the total characters.
    """

    def __init__(self, module: Any, report: Report) -> None:
        self.module, self.report = module, report
        self.trainer: L.Trainer = module.trainer
        self.network: Network = module.network
        self.threads = module.num_batch_shards * torch.get_num_threads()  # on a CPU
        self._state: State | None = None
        # the losses of all characters and of the first characters, and their numbers
        self._sums = np.zeros(4)

    def add(self, batch: Any, logits: npt.NDArray[np.float16] | None = None) -> None:
        """Score a batch: a window, or a `WholeText`, of which each rank scores a part.

        `logits` is an array (P, V) for those of a text; see `compute_rank_loss`.
        """
        autocast = torch.autocast(self.module.device.type, enabled=False)
        with autocast, set_float32_precision(tf32=False):
            if isinstance(batch, WholeText):
                self._sums += self._score_text(batch.ids, logits)
            else:
                ids, targets, begins = as_window(batch)
                scores, self._state = self.network(ids, None if begins else self._state)
                scores = scores.flatten(0, 1).float()
                loss = F.cross_entropy(scores, targets.flatten(), reduction="sum").item()
                self._sums += (loss, 0, targets.numel(), 0)

    def _score_text(
        self, ids: SplitIds, logits: npt.NDArray[np.float16] | None
    ) -> tuple[float, ...]:
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        count = len(ids) - 1
        losses = np.zeros(min(count, MAX_LOGITS // len(self.module.vocabulary)), np.float32)
        loss = compute_rank_loss(
            self.network, ids, rank, world_size,
            threads=self.threads, report=self.report, losses=losses, logits=logits,
        )  # fmt: skip
        counts = (0, 0) if rank else (count, len(losses))  # of all ranks
        return loss, float(losses.sum(dtype=np.float64)), *counts

    def reduce(self) -> tuple[float | None, float | None]:
        """Return the mean losses of all characters and of the first ones, in nats per character.

        The first is None if there was no batch, the second if there was no whole text.
        """
        sums: Any = self._sums
        if self.trainer.world_size > 1:
            sums = torch.tensor(sums, device=self.trainer.strategy.root_device)
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
        total, first_total, count, first_count = sums.tolist()
        loss = total / count if count else None
        if not first_count:
            return loss, None
        return loss, loss if first_count == count else first_total / first_count
