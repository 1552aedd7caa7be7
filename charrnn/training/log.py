"""Log the options, losses, learning rate and speed of a training."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from charrnn.models.checkpoint import ENTRY
from charrnn.training.metrics_file import MetricsCSV
from charrnn.training.validation import Validation, is_fitting


class TrainingLog(L.Callback):
    """Logs every ``trainer.log_every_n_steps`` steps, and at the first and the last step.

    All loggers and ``trainer.callback_metrics`` receive the values, under the number of trained
    steps (Lightning counts steps from 0). The gradient norm before clipping is logged as well,
    except in metrics.csv. Steps that are not logged do not wait for the device. The loss is the
    mean of all ranks.

    Args:
        config: the config of the run, for loggers and for `charrnn train resume=`: checkpoints
            contain it as it is, and loggers get the resolved values. None: loggers get the module's
            hyperparameters.
        hparams: the options for TensorBoard's HParams; None: all options.
        provenance: other values that checkpoints contain for `charrnn train resume=`.
    """

    def __init__(
        self,
        config: DictConfig | None = None,
        hparams: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self._record: Any = None
        self._values: Any = None
        if config is not None:
            self._record = OmegaConf.to_container(config)
            self._values = OmegaConf.to_container(config, resolve=True)
        self._hparams = hparams
        self._provenance = dict(provenance or {})
        self._loss: Any = None  # of the last window that was not skipped
        self._lr = 0.0
        self._gradient_norm: Any = None  # of all parameters together, before clipping
        self._logged_step = 0
        self._start = 0.0  # the time at which this step was logged

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self._values is None:
            self._values = {**pl_module.hparams_initial, "vocabulary": len(pl_module.vocabulary)}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                # Lightning writes them into hparams.yaml before the first step.
                logger.hparams.update(_replace_surrogates(self._values))

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._logged_step, self._start = trainer.global_step, time.perf_counter()
        values = _replace_surrogates(self._values)
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV):
                logger.start(trainer.global_step)
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(values)
            elif trainer.is_global_zero:
                text = as_markdown(yaml.safe_dump(values, sort_keys=False))
                logger.experiment.add_text("config", text, trainer.global_step + 1)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        for logger in trainer.loggers:  # A resume continues after these values.
            logger.write() if isinstance(logger, MetricsCSV) else logger.save()
        if self._record is not None:
            checkpoint.setdefault(ENTRY, {}).update(config=self._record, **self._provenance)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: Any, optimizer: Optimizer
    ) -> None:
        self._lr = optimizer.param_groups[0]["lr"]
        if is_logged_step(trainer, trainer.global_step + 1):
            parameters = (p for group in optimizer.param_groups for p in group["params"])
            gradients = [p.grad for p in parameters if p.grad is not None]
            self._gradient_norm = nn.utils.get_total_norm(gradients)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if outputs and outputs.get("loss") is not None:
            self._loss = outputs["loss"].reshape(())
        step = trainer.global_step
        if not is_logged_step(trainer, step):
            return
        self._log_step(trainer, pl_module)
        if step == self._logged_step or self._loss is None:
            return
        pl_module.check_finite()
        # Lightning has divided the loss by the number of windows whose gradients are accumulated.
        loss = self._loss * trainer.accumulate_grad_batches
        loss = trainer.strategy.reduce(loss, reduce_op="mean").item()
        characters = count_characters(batch) * trainer.world_size * trainer.accumulate_grad_batches
        now, steps = time.perf_counter(), step - self._logged_step
        speed = round(steps * characters / max(now - self._start, 1e-9), 1)
        self._start, self._logged_step = now, step
        values = {"train/loss": loss, "lr": self._lr, "characters_per_second": speed}
        for name, value in values.items():
            pl_module.log(name, value, prog_bar=name == "train/loss", logger=False)
        values["epoch"] = step / pl_module.steps_per_epoch
        norm = self._gradient_norm
        of_gradient = {} if norm is None else {"grad_norm": norm.item()}
        for logger in trainer.loggers:
            is_csv = isinstance(logger, MetricsCSV)
            logger.log_metrics(values if is_csv else values | of_gradient, step)

    def _log_step(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Log the number of trained steps, under which Lightning then logs the metrics of a user.

        Lightning's number counts from 0.
        """
        if is_fitting(trainer):
            pl_module.log("step", torch.tensor(float(trainer.global_step), dtype=torch.float64))

    on_validation_epoch_end = on_train_epoch_end = _log_step

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        step, best = validation.step, validation.best
        for logger in trainer.loggers:
            if not is_logged_step(trainer, step):
                logger.log_metrics({"epoch": step / pl_module.steps_per_epoch}, step)
            logger.log_metrics(validation.losses, step)
            if isinstance(logger, TensorBoardLogger) and best.step:
                values = self._values if self._hparams is None else dict(self._hparams)
                logger.log_hyperparams(_replace_surrogates(values), best.losses, step)


def count_characters(batch: Any) -> int:
    """Return the characters of a window (ids, targets, ...), or of all windows in a collection."""
    parts = list(batch.values()) if isinstance(batch, Mapping) else batch or ()
    if parts and isinstance(parts[0], torch.Tensor):
        return parts[0].numel()
    return sum(map(count_characters, parts))


def is_logged_step(trainer: Any, step: int) -> bool:
    """Return whether a step, counted from 1, is logged.

    Logged are the first step, every ``trainer.log_every_n_steps``-th step (0: no others), and the
    last step if the trainer knows it.
    """
    every = trainer.log_every_n_steps
    return step in (1, trainer.estimated_stepping_batches) or (every > 0 and step % every == 0)


def as_markdown(text: str) -> str:
    """Format a text as a code block in Markdown, so that TensorBoard shows it unchanged."""
    return "\n".join("    " + line for line in _replace_surrogates(text).split("\n"))


def _replace_surrogates(value: Any) -> Any:
    """Replace lone surrogates, such as bytes in names of files that are not UTF-8, by "?"."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
