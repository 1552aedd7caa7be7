"""What a run reports to its loggers: its options, losses, learning rate and speed, and texts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import grad_norm
from torch import Tensor
from torch.utils.tensorboard.summary import hparams

from charrnn.training.hyperparameters import plain_hparams
from charrnn.training.metrics_file import MetricsCSV

# the lowest validation loss so far, which is what TensorBoard's HParams compares runs by
BEST_LOSS = "best/val_loss"
LAYOUT = {"loss": {"training and validation": ["Multiline", ["train/loss", "val/loss"]]}}


class TrainingLog(L.Callback):
    """Reports every ``trainer.log_every_n_steps`` steps, at the first one and at the last.

    Values go to every logger under the number of steps trained (Lightning's own way counts
    from 0), and to ``trainer.callback_metrics``; the gradient's norm, before clipping, to all
    loggers but metrics.csv. Between them no step waits for a number to come back from the device.
    There train/loss is that of the last step at any time; of several processes each has its own
    there, and their mean on logged steps and in validations.

    What callbacks read there is saved with a checkpoint, and is there again from a resume on.

    Args:
        hyperparameters: nested plain values that the loggers get beside the losses; those of the
            module by default.
    """

    def __init__(self, hyperparameters: dict[str, Any] | None = None) -> None:
        self.hyperparameters = hyperparameters
        self._metrics: dict[str, Any] = {}
        self._logged_step = 0
        self._since = 0.0  # when the step after the last logged one began, later by all pauses
        self._at_validation = (0.0, 0.0)  # when it began, and `_since` then
        self._names_by_step = False

    def state_dict(self) -> dict[str, Any]:
        return {n: float(v) for n, v in self._metrics.items() if n != "characters_per_second"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._metrics = {n: torch.tensor(v, dtype=torch.float64) for n, v in state_dict.items()}

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        metrics = trainer.callback_metrics
        metrics.update(self._metrics)
        self._metrics = metrics
        self._logged_step, self._since = trainer.global_step, time.perf_counter()
        # Lightning's ModelCheckpoint names its files by the value `step`, which a step then costs
        self._names_by_step = any(isinstance(c, ModelCheckpoint) for c in trainer.callbacks)
        values = self.hyperparameters
        if values is None:
            vocabulary_size = len(pl_module.vocabulary)
            values = {**plain_hparams(pl_module.hparams), "vocabulary": vocabulary_size}
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(encodable(values))
            elif trainer.is_global_zero:
                _introduce(logger, encodable(values), trainer.global_step + 1)

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
        characters = batch[0].numel() * trainer.world_size * trainer.accumulate_grad_batches
        now, steps = time.perf_counter(), step - self._logged_step
        speed = round(steps * characters / max(now - self._since, 1e-9), 1)
        self._since, self._logged_step = now, step
        values = {"train/loss": loss, "lr": pl_module.last_lr, "characters_per_second": speed}
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

    def _reduce_loss(self, trainer: L.Trainer) -> Tensor:
        """The mean loss () of all processes in the last step, from now on the one to be read."""
        loss: Tensor = self._metrics["train/loss"]
        if trainer.world_size > 1:
            loss = trainer.strategy.reduce(loss.clone(), reduce_op="mean")
            self._metrics["train/loss"] = loss
        return loss

    def pause(self, seconds: float) -> None:
        """Leave the last seconds out of the speed: they were no training."""
        self._since += seconds

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._at_validation = time.perf_counter(), self._since
        if trainer.state.fn == "fit" and "train/loss" in self._metrics:
            self._reduce_loss(trainer)

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
        if pl_module.best.step == trainer.global_step:
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.log_metrics({BEST_LOSS: pl_module.best.loss}, trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._log_step(trainer)


def is_logged(trainer: L.Trainer, step: int) -> bool:
    """Whether what happens in a step, counted from 1, is reported.

    It is at the first step, at every ``trainer.log_every_n_steps`` (0: no others), and at the
    last, where the trainer knows which that is.
    """
    every = trainer.log_every_n_steps
    return step in (1, trainer.estimated_stepping_batches) or (every > 0 and step % every == 0)


def _introduce(logger: TensorBoardLogger, hyperparameters: dict[str, Any], step: int) -> None:
    """Let TensorBoard have the options of a run that begins, or goes on, with this step.

    Its HParams page puts the options that differ between the runs it shows before all others, and
    takes every curve for a metric, as long as no run says which options and metrics there are. So
    none does: Lightning's `log_hyperparams` would, and the page of a sweep would then list what
    the first run names, by the alphabet.
    """
    writer = logger.experiment
    text = yaml.safe_dump(hyperparameters, sort_keys=False)
    writer.add_text("config", as_markdown(text), step)
    writer.add_custom_scalars(LAYOUT)
    _, start, end = hparams(dict(_options(hyperparameters)), {})
    for summary in (start, end):
        writer.file_writer.add_summary(summary)


def _options(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float | str]]:
    """Options under the names that the command line has for them; without those that are null."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _options(value, f"{prefix}{name}.")
        elif value is not None:
            if type(value) not in (int, float):
                value = str(value).lower() if isinstance(value, bool) else str(value)
            yield prefix + name, value


def log_text(loggers: Iterable[Logger], name: str, text: str, step: int) -> None:
    """Let every logger that keeps texts have one."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(name, as_markdown(text), step)
        elif isinstance(logger, WandbLogger):
            logger.log_text(name, columns=["text"], data=[[encodable(text)]], step=step)
        elif isinstance(logger, MLFlowLogger):
            file = f"{name}/step-{step:07d}.txt"
            logger.experiment.log_text(logger.run_id, encodable(text), file)


def as_markdown(text: str) -> str:
    """The text, indented, so that TensorBoard's Markdown leaves it as it is."""
    return "\n".join("    " + line for line in encodable(text).split("\n"))


def encodable(value: Any) -> Any:
    """The same values, without what stands for bytes that are no UTF-8 (in names of files, say)."""
    if isinstance(value, dict):
        return {name: encodable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [encodable(inner) for inner in value]
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
