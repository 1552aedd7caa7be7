"""What a run reports on its logged steps: loss, learning rate, speed."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from charrnn.training import tensorboard


class TrainingLog(L.Callback):
    """Reports every ``trainer.log_every_n_steps`` steps, at the first one and at the last.

    Values go to every logger under the number of steps trained (Lightning's own way counts
    from 0), and to ``trainer.callback_metrics``. Between them no step waits for a number to
    come back from the device.

    Args:
        hyperparameters: nested plain values that the loggers are told beside the losses;
            those of the module by default.
    """

    def __init__(self, hyperparameters: dict[str, Any] | None = None) -> None:
        self.hyperparameters = hyperparameters
        self._logged_step = 0
        self._since = 0.0
        self._paused = 0.0
        self._validation_began = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._logged_step = trainer.global_step
        self._paused, self._since = 0.0, time.perf_counter()
        hyperparameters = self._hyperparameters(pl_module)
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(hyperparameters)
            elif trainer.is_global_zero:
                tensorboard.introduce(logger, hyperparameters, trainer.global_step + 1)
        if pl_module.best.step:
            self._log_best(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        every, last = trainer.log_every_n_steps, trainer.estimated_stepping_batches
        due = step in (1, last) or (every and not step % every)
        if step == self._logged_step or not due or pl_module.last_loss is None:
            return
        pl_module.check_finite()
        loss = pl_module.last_loss
        if trainer.world_size > 1:
            loss = trainer.strategy.reduce(loss, reduce_op="mean")
        characters = batch[0].numel() * trainer.world_size * trainer.accumulate_grad_batches
        values = {
            "train/loss": loss.item(),
            "lr": pl_module.last_lr,
            "characters_per_second": round(self._speed(step, characters), 1),
        }
        for name, value in values.items():
            self.log(name, value, logger=False, prog_bar=name == "train/loss")
        for logger in trainer.loggers:
            logger.log_metrics({**values, "epoch": step / pl_module.steps_per_epoch}, step)

    def _speed(self, step: int, characters: int) -> float:
        """Characters a second since the last logged step, without what was no training."""
        now = time.perf_counter()
        seconds = now - self._since - self._paused
        steps = step - self._logged_step
        self._since, self._paused, self._logged_step = now, 0.0, step
        return steps * characters / max(seconds, 1e-9)

    def pause(self, seconds: float) -> None:
        """These were no training time."""
        self._paused += seconds

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.pause(time.perf_counter() - self._validation_began)
            if pl_module.best.step == trainer.global_step:
                self._log_best(trainer, pl_module)

    def _log_best(self, trainer: L.Trainer, module: Any) -> None:
        """Let TensorBoard's HParams page show the best validation loss beside the options."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                # a resume repeats the point that stands already
                logger.log_metrics({tensorboard.BEST_LOSS: module.best.loss}, module.best.step)

    def _hyperparameters(self, module: Any) -> dict[str, Any]:
        own = self.hyperparameters
        known = {**module.hparams, "vocabulary": len(module.vocabulary)}
        encodable: dict[str, Any] = tensorboard.encodable(known if own is None else own)
        return encodable
