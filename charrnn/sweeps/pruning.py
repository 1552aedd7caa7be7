"""Ends a trial of a study early where others were better at its age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning as L

from charrnn.say import say
from charrnn.sweeps.study import PRUNED, running
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

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations, "has_stopped": self.has_stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]
        self.has_stopped = state_dict["has_stopped"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        self.validations += 1
        trial = running(self.run.folder.parent, self.trial, self.pruner)
        if trial is None:
            return
        # one that is repeated after a kill was reported before
        if self.validations not in trial.reported:
            trial.asked.report(float(trainer.callback_metrics["val/loss"]), self.validations)
        # at the end there is nothing left to save
        ends = trainer.global_step >= trainer.estimated_stepping_batches
        if not ends and trial.asked.should_prune():
            trial.asked.set_user_attr(PRUNED, True)
            self.has_stopped = trainer.should_stop = True
            say(f"pruned after step {trainer.global_step}: others were better by then")
