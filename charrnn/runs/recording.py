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
