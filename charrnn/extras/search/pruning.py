"""Ends a trial of a study early where others were better at its age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning as L

from charrnn.extras.search.study import FILE, Report
from charrnn.say import say
from charrnn.training.checkpoints import Run

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


class Pruning(L.Callback):
    """Reports each validation loss to the study beside the run, and stops where it is pruned.

    Validations are counted from 1. The study is that of the folder in which the run's folder
    lies; a run that was taken out of it trains on to its end.

    Args:
        run: the run; `charrnn train` gives it.
        trial: its number in the study.
        pruner: decides, by the losses of the other trials.
    """

    def __init__(self, run: Run, trial: int, pruner: BasePruner) -> None:
        self.run = run
        self.trial = trial
        self.pruner = pruner
        self.validations = 0
        self.has_stopped = False
        self._report: Report | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        folder = self.run.folder.parent
        if trainer.is_global_zero and (folder / FILE).is_file():
            self._report = Report(folder, self.trial, self.pruner)

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations, "has_stopped": self.has_stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]
        self.has_stopped = state_dict["has_stopped"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        self.validations += 1
        if self._report is None or not self._report.is_open:
            return
        loss = float(trainer.callback_metrics["val/loss"])
        is_pruned = self._report.validated(loss, self.validations)
        # at the end there is nothing left to save
        if is_pruned and trainer.global_step < trainer.estimated_stepping_batches:
            self._report.prune()
            self.has_stopped = trainer.should_stop = True
            say(f"pruned after step {trainer.global_step}: others were better by then")
