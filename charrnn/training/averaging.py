"""An average of the weights that begins when validation no longer gets better."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from charrnn.errors import InputError


class StalledAverage(WeightAveraging):
    """The mean of the weights after each step since validation stalled; until then the last ones.

    It takes the place of a falling learning rate: the steps stay long, and the mean lies in the
    middle of where they lead. As non-monotonically triggered averaged SGD (Merity et al. 2017,
    arXiv 1708.02182) begins it, but with whatever optimizer there is. The average is what is
    validated, sampled and exported; from a resume it goes on exactly.

    Args:
        patience: validations in a row without a better loss after which the mean begins.
        monitor: what is to get lower.
    """

    def __init__(self, patience: int = 5, monitor: str = "val/loss") -> None:
        super().__init__(avg_fn=self._averaged)
        self.patience = patience
        self.monitor = monitor
        self.best = float("inf")
        self.waited = 0  # validations since the best one
        self.taken = 0  # steps that are in the mean

    @property
    def has_stalled(self) -> bool:
        """Whether the mean has begun."""
        return self.waited >= self.patience

    def _averaged(self, average: Tensor, current: Tensor, _: Tensor | int) -> Tensor:
        return average + (current - average) / max(self.taken, 1)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every step, which counts as taken from now on."""
        if step_idx is None:
            return False
        self.taken += self.has_stalled
        return True

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or self.has_stalled:
            return
        if self.monitor not in trainer.callback_metrics:
            raise InputError(
                f"StalledAverage: monitor={self.monitor}: there is no such metric; there are "
                f"{', '.join(sorted(trainer.callback_metrics))}"
            )
        loss = float(trainer.callback_metrics[self.monitor])
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(loss, self.best)

    def state_dict(self) -> dict[str, Any]:
        own = {"best": self.best, "waited": self.waited, "taken": self.taken}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.best, self.waited = state_dict["best"], state_dict["waited"]
        self.taken = state_dict["taken"]
