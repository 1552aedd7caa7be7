"""Ends a trial of a study early where others were better at its age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning as L

from charrnn.extras.search.search import FILE, NAME, PRUNED, import_optuna, open_study
from charrnn.say import say
from charrnn.training.checkpoints import Run

if TYPE_CHECKING:
    import optuna


class Pruning(L.Callback):
    """Reports each validation loss to the study beside the run, and stops where it is pruned.

    Validations are counted from 1. The study is that of the folder in which the run's folder
    lies; a run that was taken out of it trains on to its end.

    Args:
        run: the run; `charrnn train` gives it.
        trial: its number in the study.
        pruner: one of Optuna's; it decides, by the losses of the other trials.
    """

    def __init__(self, run: Run, trial: int, pruner: Any) -> None:
        self.run = run
        self.number = trial
        self.pruner = pruner
        self.validations = 0
        self.has_stopped = False
        self._trial: optuna.Trial | None = None
        self._reported: set[int] = set()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        folder = self.run.folder.parent
        if trainer.is_global_zero and (folder / FILE).is_file():
            study, storage = open_study(folder, self.pruner)
            trial = study.get_trials(deepcopy=False)[self.number]
            if not trial.state.is_finished():
                study_id = storage.get_study_id_from_name(NAME)
                number = storage.get_trial_id_from_study_id_trial_number(study_id, self.number)
                self._trial = import_optuna().Trial(study, number)
                self._reported = set(trial.intermediate_values)

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations, "has_stopped": self.has_stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]
        self.has_stopped = state_dict["has_stopped"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        self.validations += 1
        if self._trial is None:
            return
        # one that is repeated after a kill was reported before
        if self.validations not in self._reported:
            loss = float(trainer.callback_metrics["val/loss"])
            self._trial.report(loss, self.validations)
        # at the end there is nothing left to save
        left = trainer.global_step < trainer.estimated_stepping_batches
        if left and self._trial.should_prune():
            self._trial.set_user_attr(PRUNED, True)
            self.has_stopped = trainer.should_stop = True
            say(f"pruned after step {trainer.global_step}: others were better by then")
