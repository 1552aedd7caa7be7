"""Record a run in its folder while it trains, and what of it is compared with other runs."""

from __future__ import annotations

from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf

from charrnn.errors import InputError
from charrnn.options.training import flatten
from charrnn.runs import folder as folders
from charrnn.runs.decisions import DECIDED
from charrnn.runs.run import Run
from charrnn.runs.summary import Summary, split_overrides
from charrnn.training.validation import is_fitting


class RunRecorder(L.Callback):
    """Links outputs/latest to a run, and replaces the record of a resumed run.

    The record is replaced just after the first checkpoint that has it, so that a resume which
    saves nothing changes nothing. After a kill between the two, the next resume takes the record
    of the checkpoint.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._is_due = False

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero:
            folders.link_latest(self.run.folder)

    def on_save_checkpoint(self, trainer: L.Trainer, *_: Any) -> None:
        self._is_due = trainer.is_global_zero and self.run.is_in_place

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        if self._is_due:
            self._is_due = False
            run = self.run
            folders.record(run.folder, run.record, run.overrides, run.hydra)

    on_exception = on_validation_start = on_fit_end = on_train_batch_start


class MetricCheck(L.Callback):
    """Refuses an `optimized_metric` that is not logged at the first validation."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        metric, metrics = self.run.config.optimized_metric, trainer.callback_metrics
        if is_fitting(trainer) and metric is not None and metric not in metrics:
            message = f"optimized_metric={metric}: is not logged; there are "
            message += ", ".join(sorted(map(str, metrics)))
            if folders.find_checkpoint(self.run.folder):
                message += f"; {self.run.explain_resume()} optimized_metric=NAME"
            raise InputError(message)


def collect_hparams(run: Run, decided: DictConfig) -> dict[str, Any]:
    """Return the options that were swept, given or decided, in this order, with their values."""
    choices = run.hydra.get("runtime", {}).get("choices", {})
    values = {**choices, **flatten(OmegaConf.to_container(decided, resolve=True))}
    words = Summary(run.folder).overrides if run.is_in_place else run.overrides
    names = dict.fromkeys((*run.swept, *split_overrides(words), *DECIDED))
    return {n: values[n] for n in names if n in values and n not in ("resume", "trust")}
