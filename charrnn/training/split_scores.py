"""The loss of whole splits, as validation and test measure it."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from charrnn.evaluation.stream_losses import compute_rank_loss
from charrnn.networks.network import Network, State, exact_float32
from charrnn.say import BITS_PER_NAT
from charrnn.training.datamodule import WholeText, Window


def as_window(batch: Any) -> Window:
    """A batch as a window; one without `begins` begins at the zero state."""
    ids, targets, *begins = batch
    return ids, targets, bool(begins[0]) if begins else True


class SplitScores:
    """The loss of an evaluation, over all batches, loaders and processes.

    It is computed in float32 in any precision of training.

    Args:
        module: a `LanguageModel` with a trainer.
        logits: (P, V), are filled with those of the text; see `part_loss`.
    """

    def __init__(self, module: Any, logits: npt.NDArray[np.float16] | None = None) -> None:
        self.module = module
        self.trainer: L.Trainer = module.trainer
        self.network: Network = module.network
        self.threads = module.num_batch_shards * torch.get_num_threads()  # of a CPU
        self.logits = logits
        self._state: State | None = None
        self._sums: list[tuple[float, int]] = []  # of losses and characters, by batch
        if "torch._dynamo" in sys.modules:  # where somebody compiles, which takes no mapped text
            self.add = torch.compiler.disable(self.add)  # type: ignore[method-assign]

    def add(self, batch: Any) -> None:
        """Score a batch: a window, or a text as a whole, of which each process takes a part."""
        with torch.autocast(self.module.device.type, enabled=False), exact_float32():
            if isinstance(batch, WholeText):
                rank, world_size = self.trainer.global_rank, self.trainer.world_size
                loss = compute_rank_loss(
                    self.network, batch.ids, rank, world_size,
                    threads=self.threads, logits=self.logits,
                )  # fmt: skip
                count = len(batch.ids) - 1 if rank == 0 else 0
                self.logits = None  # those of a first text
            else:
                ids, targets, begins = as_window(batch)
                logits, self._state = self.network(ids, None if begins else self._state)
                logits = logits.flatten(0, 1).float()
                loss = F.cross_entropy(logits, targets.flatten(), reduction="sum").item()
                count = targets.numel()
        self._sums.append((loss, count))

    def log(self, split: str) -> float | None:
        """Log the mean loss (nats per character) and return it; None: there was nothing."""
        trainer = self.trainer
        total, count = (sum(each) for each in zip((0.0, 0), *self._sums, strict=True))
        if trainer.world_size > 1:
            sums = torch.tensor([total, count], dtype=torch.float64)
            sums = trainer.strategy.reduce(sums.to(trainer.strategy.root_device), reduce_op="sum")
            total, count = sums.tolist()
        if not count:
            return None
        loss = total / count
        values = {f"{split}/loss": loss, f"{split}/bits_per_character": loss * BITS_PER_NAT}
        fits = trainer.state.fn == "fit"
        for name, value in values.items():
            # validate() and test() return what goes to a logger
            self.module.log(name, torch.tensor(value, dtype=torch.float64), logger=not fits)
        if fits and not trainer.sanity_checking:
            # with the number of the step it was, which Lightning's own way misses
            for logger in trainer.loggers:
                logger.log_metrics(values, trainer.global_step)
        return loss
