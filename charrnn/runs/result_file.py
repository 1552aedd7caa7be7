"""Write result.json during a training."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L

from charrnn.models.trained import COMPARED_LOSS, COUNTS_LOSS
from charrnn.options.training import BEST_LOSS, BEST_LOSS_AS_WRITTEN
from charrnn.runs.folder import link_latest
from charrnn.runs.result import Result
from charrnn.text.sources import as_name_list
from charrnn.training import TextDataModule
from charrnn.training.validation import Validation

if TYPE_CHECKING:
    from charrnn.runs.run import Run

# what only a checkpoint brings back
_SAVED = ("seconds", "counts_loss", "compared_loss")


class ResultFile(L.Callback):
    """Writes result.json when training starts, at each validation, with last.ckpt and at the end.

    Attributes:
        result: the result so far.
    """

    def __init__(self, run: Run, data: TextDataModule) -> None:
        self.result = Result(
            run.folder,
            text=", ".join(Path(name).name for name in as_name_list(data.source)),
            is_list=data.encoded.is_list,
            fingerprint=data.encoded.fingerprint,
            words=[*run.words],
            options=run.hparams,
            optimized_metric=run.config.optimized_metric,
        )
        self._start = 0.0  # the time of the start, less the seconds before a resume

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self.result, name) for name in _SAVED}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in _SAVED:
            if isinstance(value := state_dict.get(name), float):
                setattr(self.result, name, value)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._start = time.perf_counter() - self.result.seconds
        arch = pl_module.network.architecture
        self.result.network = f"{arch.num_layers} x {arch.hidden_size} {arch.kind}"
        self.result.parameters = arch.num_parameters
        self.write_result(trainer, pl_module)
        if trainer.is_global_zero:
            link_latest(self.result.folder)  # No library has refused its options.

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        if validation.is_best and validation.model is not None:
            # After the model file, `RunCheckpoints` writes the result.
            self.result.counts_loss = validation.model.facts.get(COUNTS_LOSS)
            self.result.compared_loss = validation.model.facts.get(COMPARED_LOSS)
            self._measure(trainer, pl_module)
        else:
            self.write_result(trainer, pl_module)

    def write_result(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Write the result so far. `RunCheckpoints` calls this before it writes last.ckpt."""
        self._measure(trainer, pl_module)
        if trainer.is_global_zero:
            self.result.write()

    on_train_end = write_result

    def _measure(self, trainer: Any, pl_module: Any) -> None:
        """Set the numbers of the training so far."""
        result, best, steps = self.result, pl_module.best, trainer.global_step
        losses = best.losses if best.step else {}
        # Before the first validation of a resume, only the best losses are known.
        metrics: Any = {**losses, **trainer.callback_metrics}
        objective = float(metrics.get(result.optimized_metric, math.nan))
        result.objective = objective if math.isfinite(objective) else None
        result.network_loss = losses.get(BEST_LOSS)
        result.loss = losses.get(BEST_LOSS_AS_WRITTEN)
        result.step = best.step or (None if trainer.enable_validation else steps)
        result.steps = steps
        result.characters = steps * trainer.datamodule.facts["characters_a_step"]
        result.seconds = time.perf_counter() - self._start
