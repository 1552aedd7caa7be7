"""What a run reports on its logged steps: loss, learning rate, speed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import grad_norm
from torch import Tensor

from charrnn.training import loggers
from charrnn.training.hyperparameters import plain_hparams
from charrnn.training.metrics_file import MetricsCSV


class TrainingLog(L.Callback):
    """Reports every ``trainer.log_every_n_steps`` steps, at the first one and at the last.

    Values go to every logger under the number of steps trained (Lightning's own way counts
    from 0), and to ``trainer.callback_metrics``; the gradient's norm, before clipping, to all
    loggers but metrics.csv. Between them no step waits for a number to come back from the device.
    There train/loss is that of the last step at any time; of several processes each has its own
    there, and their mean on logged steps and in validations.

    What callbacks read there is saved with a checkpoint, and is there again from a resume on.

    Args:
        hyperparameters: nested plain values that the loggers are told beside the losses;
            those of the module by default.
    """

    def __init__(self, hyperparameters: dict[str, Any] | None = None) -> None:
        self.hyperparameters = hyperparameters
        self._metrics: dict[str, Any] = {}
        self._logged_step = 0
        self._since = 0.0
        self._paused = 0.0
        self._validation_began: float | None = None
        self._names_by_step = False

    def state_dict(self) -> dict[str, Any]:
        return {n: float(v) for n, v in self._metrics.items() if n != "characters_per_second"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._metrics = {n: torch.tensor(v, dtype=torch.float64) for n, v in state_dict.items()}

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        metrics = trainer.callback_metrics
        metrics.update(self._metrics)
        self._metrics = metrics
        self._logged_step = trainer.global_step
        # Lightning's ModelCheckpoint names its files by the value `step`, which a step then costs
        self._names_by_step = any(isinstance(c, ModelCheckpoint) for c in trainer.callbacks)
        self._paused, self._since, self._validation_began = 0.0, time.perf_counter(), None
        hyperparameters = self._hyperparameters(pl_module)
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(hyperparameters)
            elif trainer.is_global_zero:
                is_new = not any(Path(logger.log_dir).glob("events.out.tfevents.*"))
                loggers.introduce(logger, hyperparameters, trainer.global_step + 1)
                if is_new and pl_module.best.step:
                    _log_best(logger, pl_module)

    def on_after_backward(self, trainer: L.Trainer, pl_module: Any) -> None:
        # before any callback looks at the step, and by reference: it is not waited for, unless
        # somebody reads it
        self._metrics["train/loss"] = pl_module.last_loss

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer
    ) -> None:
        step = trainer.global_step + 1
        if is_logged(trainer, step):
            norm = grad_norm(pl_module, 2).get("grad_2.0_norm_total", 0.0)  # before it is clipped
            for logger in trainer.loggers:
                if not isinstance(logger, MetricsCSV):
                    logger.log_metrics({"grad_norm": float(norm)}, step)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        is_due = is_logged(trainer, step)
        if is_due or trainer.should_stop or self._names_by_step:
            self._log_step(trainer)
        if not is_due or step == self._logged_step or pl_module.last_loss is None:
            return
        pl_module.check_finite()
        loss = self._reduce_loss(trainer).item()
        values = {
            "train/loss": loss,
            "lr": pl_module.last_lr,
            "characters_per_second": round(
                self._speed(step, _characters_of_step(trainer, batch)), 1
            ),
        }
        for name in ("lr", "characters_per_second"):
            self.log(name, values[name], logger=False)
        # one that was logged in Lightning's way would stay until the next is
        trainer.progress_bar_metrics["train/loss"] = loss
        for logger in trainer.loggers:
            logger.log_metrics({**values, "epoch": step / pl_module.steps_per_epoch}, step)

    def _log_step(self, trainer: L.Trainer) -> None:
        """Let what somebody's own code logs have the step that charrnn's own values have.

        Lightning takes a logged value `step` for it, and else counts from 0.
        """
        self.log("step", torch.tensor(float(trainer.global_step), dtype=torch.float64))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._log_step(trainer)
        if (step := trainer.global_step) != self._logged_step:
            for logger in trainer.loggers:
                logger.log_metrics({"epoch": step / pl_module.steps_per_epoch}, step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._log_step(trainer)

    def _reduce_loss(self, trainer: L.Trainer) -> Tensor:
        """The mean loss () of all processes in the last step, from now on the one to be read."""
        loss: Tensor = self._metrics["train/loss"]
        if trainer.world_size > 1:
            loss = trainer.strategy.reduce(loss.clone(), reduce_op="mean")
            self._metrics["train/loss"] = loss
        return loss

    def _speed(self, step: int, characters: int) -> float:
        """Characters a second since the last logged step, without what was no training."""
        now = time.perf_counter()
        seconds = now - self._since - self._paused
        steps = step - self._logged_step
        self._since, self._paused, self._logged_step = now, 0.0, step
        return steps * characters / max(seconds, 1e-9)

    def pause(self, seconds: float) -> None:
        """These were no training time; within a validation, which is none as a whole, no matter."""
        if self._validation_began is None:
            self._paused += seconds

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._validation_began = time.perf_counter()
        if trainer.state.fn == "fit" and "train/loss" in self._metrics:
            self._reduce_loss(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        began, self._validation_began = self._validation_began, None
        if trainer.state.fn == "fit" and not trainer.sanity_checking and began is not None:
            self.pause(time.perf_counter() - began)
            for logger in trainer.loggers:
                is_best = pl_module.best.step == trainer.global_step
                if is_best and isinstance(logger, TensorBoardLogger):
                    _log_best(logger, pl_module)

    def _hyperparameters(self, module: Any) -> dict[str, Any]:
        own = self.hyperparameters
        known = {**plain_hparams(module.hparams), "vocabulary": len(module.vocabulary)}
        encodable: dict[str, Any] = loggers.encodable(known if own is None else own)
        return encodable


def is_logged(trainer: L.Trainer, step: int) -> bool:
    """Whether what happens in a step, counted from 1, is reported.

    It is at the first step, at every ``trainer.log_every_n_steps`` (0: no others), and at the
    last, where the trainer knows which that is.
    """
    every = trainer.log_every_n_steps
    return step in (1, trainer.estimated_stepping_batches) or (every > 0 and step % every == 0)


def _characters_of_step(trainer: L.Trainer, batch: Any) -> int:
    """Characters that all processes train in a step, one of whose batches this is."""
    windows = trainer.world_size * trainer.accumulate_grad_batches
    return int(batch[0].numel()) * windows


def _log_best(logger: TensorBoardLogger, module: Any) -> None:
    """Let TensorBoard's HParams page show the best validation loss beside the options."""
    logger.log_metrics({loggers.BEST_LOSS: module.best.loss}, module.best.step)
