"""What a run reports to its loggers: its options, losses, learning rate and speed, and texts."""

from __future__ import annotations

import json
import time
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from charrnn.training.hyperparameters import to_plain_hparams
from charrnn.training.metrics_file import MetricsCSV

LAYOUT = {"loss": {"training and validation": ["Multiline", ["train/loss", "val/loss"]]}}


class TrainingLog(L.Callback):
    """Reports every ``trainer.log_every_n_steps`` steps, at the first one and at the last.

    Values go to every logger under the number of steps trained (Lightning's own way counts
    from 0), and to ``trainer.callback_metrics``; the gradient's norm, before clipping, to all
    loggers but metrics.csv. Between them no step waits for a number to come back from the device.
    Of several processes the loss is their mean.

    Args:
        hyperparameters: nested plain values that the loggers get beside the losses; those of the
            module by default.
    """

    def __init__(self, hyperparameters: dict[str, Any] | None = None) -> None:
        self.hyperparameters = hyperparameters
        self._logged_step = 0
        self._since = 0.0  # when the step after the last logged one began, later by all pauses
        self._at_validation = (0.0, 0.0)  # when it began, and `_since` then
        self._names_by_step = False

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._logged_step, self._since = trainer.global_step, time.perf_counter()
        # Lightning's ModelCheckpoint names its files by the value `step`, which a step then costs
        self._names_by_step = any(isinstance(c, ModelCheckpoint) for c in trainer.callbacks)
        values = self.hyperparameters
        if values is None:
            vocabulary_size = len(pl_module.vocabulary)
            values = {**to_plain_hparams(pl_module.hparams), "vocabulary": vocabulary_size}
        for logger in trainer.loggers:
            logger.log_hyperparams(encodable(values))
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                text = as_markdown(yaml.safe_dump(values, sort_keys=False))
                logger.experiment.add_text("config", text, trainer.global_step + 1)
                logger.experiment.add_custom_scalars(LAYOUT)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        is_due = is_logged_step(trainer, step)
        if is_due or trainer.should_stop or self._names_by_step:
            self._log_step(trainer)
        if not is_due or step == self._logged_step or pl_module.last_loss is None:
            return
        pl_module.check_finite()
        loss = trainer.strategy.reduce(pl_module.last_loss.clone(), reduce_op="mean").item()
        characters = batch[0].numel() * trainer.world_size * trainer.accumulate_grad_batches
        now, steps = time.perf_counter(), step - self._logged_step
        speed = round(steps * characters / max(now - self._since, 1e-9), 1)
        self._since, self._logged_step = now, step
        values = {"train/loss": loss, "lr": pl_module.last_lr, "characters_per_second": speed}
        for name, value in values.items():
            self.log(name, value, prog_bar=name == "train/loss", logger=False)
        values["epoch"] = step / pl_module.steps_per_epoch
        norm = {} if pl_module.last_norm is None else {"grad_norm": pl_module.last_norm.item()}
        for logger in trainer.loggers:
            logger.log_metrics(values if isinstance(logger, MetricsCSV) else values | norm, step)

    def _log_step(self, trainer: L.Trainer) -> None:
        """Let what somebody's own code logs have the step that charrnn's own values have.

        Lightning takes a logged value `step` for it, and else counts from 0.
        """
        self.log("step", torch.tensor(float(trainer.global_step), dtype=torch.float64))

    def pause(self, seconds: float) -> None:
        """Leave the last seconds out of the speed: they were no training."""
        self._since += seconds

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._at_validation = time.perf_counter(), self._since

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._log_step(trainer)
        if (step := trainer.global_step) != self._logged_step:
            for logger in trainer.loggers:
                logger.log_metrics({"epoch": step / pl_module.steps_per_epoch}, step)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        began, since = self._at_validation
        self._since = since + time.perf_counter() - began  # with any pause in it

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._log_step(trainer)


def is_logged_step(trainer: L.Trainer, step: int) -> bool:
    """Whether what happens in a step, counted from 1, is reported.

    It is at the first step, at every ``trainer.log_every_n_steps`` (0: no others), and at the
    last, where the trainer knows which that is.
    """
    every = trainer.log_every_n_steps
    return step in (1, trainer.estimated_stepping_batches) or (every > 0 and step % every == 0)


def as_markdown(text: str) -> str:
    """The text, indented, so that TensorBoard's Markdown leaves it as it is."""
    return "\n".join("    " + line for line in encodable(text).split("\n"))


def encodable(value: Any) -> Any:
    """The same values, without what stands for bytes that are no UTF-8 (in names of files, say)."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
