"""The loss of whole splits, as validation and test measure it."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charrnn.evaluation.stream_losses import part_loss
from charrnn.network import Network, State
from charrnn.say import BITS_PER_NAT
from charrnn.training.datamodule import WholeText

# ids (N, T), targets (N, T), whether the text begins here
Window = tuple[Tensor, Tensor, bool]


def window_of(batch: Any) -> Window:
    """A batch as a window; one without `begins` begins at the zero state."""
    ids, targets, *begins = batch
    return ids, targets, bool(begins[0]) if begins else True


class SplitScores:
    """The losses of an evaluation, by loader, over all batches and processes.

    They are computed in float32 in any precision of training.

    Args:
        module: a `LanguageModel` with a trainer.
        logits: (P, V), are filled with those of the first loader's text; see `part_loss`.
    """

    def __init__(self, module: Any, logits: npt.NDArray[np.float16] | None = None) -> None:
        self.module = module
        self.trainer: L.Trainer = module.trainer
        self.network: Network = module.network
        self.threads = module.num_batch_shards * torch.get_num_threads()  # of a CPU
        self.logits = logits
        self._state: State | None = None
        self._sums: dict[int, list[tuple[float, int]]] = {}  # by loader, of losses and characters

    def add(self, batch: Any, loader: int = 0) -> None:
        """Score a batch: a window, or a text as a whole, of which each process takes a part."""
        with torch.autocast(self.module.device.type, enabled=False):
            if isinstance(batch, WholeText):
                rank, world_size = self.trainer.global_rank, self.trainer.world_size
                loss = part_loss(
                    self.network, batch.ids, rank, world_size,
                    threads=self.threads, logits=None if loader else self.logits,
                )  # fmt: skip
                count = len(batch.ids) - 1 if rank == 0 else 0
            else:
                ids, targets, begins = window_of(batch)
                logits, self._state = self.network(ids, None if begins else self._state)
                logits = logits.flatten(0, 1).float()
                loss = F.cross_entropy(logits, targets.flatten(), reduction="sum").item()
                count = targets.numel()
        self._sums.setdefault(loader, []).append((loss, count))

    def log(self, split: str) -> float | None:
        """Log each loader's mean loss (nats per character); returns the first's.

        The loss of a second loader is val/loss_1. None: there was nothing to score.
        """
        trainer, losses = self.trainer, [self._mean(i) for i in range(max(1, len(self._sums)))]
        for loader, loss in enumerate(losses):
            if loss is None:
                continue
            suffix = f"_{loader}" if loader else ""
            values = {
                f"{split}/loss{suffix}": loss,
                f"{split}/bits_per_character{suffix}": loss * BITS_PER_NAT,
            }
            fits = trainer.state.fn == "fit"
            for name, value in values.items():
                # validate() and test() return what goes to a logger
                self.module.log(name, torch.tensor(value, dtype=torch.float64), logger=not fits)
            if fits and not trainer.sanity_checking:
                # with the number of the step it was, which Lightning's own way misses
                for logger in trainer.loggers:
                    logger.log_metrics(values, trainer.global_step)
        return losses[0]

    def _mean(self, loader: int) -> float | None:
        batches = self._sums.get(loader, [])
        sums = torch.tensor(batches, dtype=torch.float64).reshape(-1, 2).sum(0)
        if self.trainer.world_size > 1:
            strategy = self.trainer.strategy
            sums = strategy.reduce(sums.to(strategy.root_device), reduce_op="sum")
        loss, count = sums.tolist()
        return loss / count if count else None
