"""A study of Optuna's in a sweep's folder, on which any number of processes may work.

study.db            SQLite, in which each trial has the number of its job
.trials/N.lock      held by the process that works on trial N

A process that dies lets go of its locks, whatever it dies of. A trial that is running by the
study and whose lock is free is taken over by whoever asks next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from charrnn import files
from charrnn.errors import InputError, install
from charrnn.runs.folder import is_run
from charrnn.say import say

if TYPE_CHECKING:
    import optuna

NAME = "charrnn"
FILE = "study.db"
PRUNED = "pruned"  # the attribute of a trial that a job ended early
POLL = 0.5  # seconds between two looks at trials that others work on


@dataclass(frozen=True)
class Settings:
    """What a study is asked for.

    Attributes:
        space: option -> the distribution that its values are drawn from.
        sampler: makes one from a seed.
        trials: how many there are to be in all.
        jobs: how many trials may be worked on at once.
    """

    space: Mapping[str, optuna.distributions.BaseDistribution]
    sampler: Callable[[int], optuna.samplers.BaseSampler]
    seed: int
    trials: int
    jobs: int


@dataclass(frozen=True)
class Trial:
    """A trial that this process works on.

    Attributes:
        params: the value of each option.
        again: whether it was begun before, by a process that did not end it.
    """

    number: int
    params: Mapping[str, Any]
    again: bool
    lock: IO[str]


def opened(folder: Path) -> optuna.Study:
    """The study of a sweep's folder; made where there is none.

    Raises:
        InputError: Optuna is not installed.
    """
    study: optuna.Study = imported().create_study(
        storage=_storage(folder), study_name=NAME, direction="minimize", load_if_exists=True
    )
    return study


class Report:
    """What the job of a trial says to its study; opening one takes as long as many steps.

    Args:
        folder: of the sweep.
        number: of the trial; the study has it.
        pruner: decides, by the losses of the other trials.
    """

    def __init__(self, folder: Path, number: int, pruner: optuna.pruners.BasePruner) -> None:
        optuna = imported()
        storage = _storage(folder)
        study = optuna.load_study(study_name=NAME, storage=storage, pruner=pruner)
        trial_id = storage.get_trial_id_from_study_id_trial_number(
            storage.get_study_id_from_name(NAME), number
        )
        known = storage.get_trial(trial_id)
        self.is_open = known.state == optuna.trial.TrialState.RUNNING
        self._reported = set(known.intermediate_values)
        self._trial = optuna.Trial(study, trial_id)

    def validated(self, loss: float, validation: int) -> bool:
        """Report the loss of a validation, counted from 1, and ask whether the trial is pruned."""
        # one that is repeated after a kill was reported before
        if validation not in self._reported:
            self._trial.report(loss, validation)
            self._reported.add(validation)
        return bool(self._trial.should_prune())

    def prune(self) -> None:
        """Let the study know that the job ends by this."""
        self._trial.set_user_attr(PRUNED, True)


def _storage(folder: Path) -> optuna.storages.RDBStorage:
    # waits while another process writes
    patience = {"connect_args": {"timeout": 60}}
    made: optuna.storages.RDBStorage = imported().storages.RDBStorage(
        f"sqlite:///{folder.absolute() / FILE}", engine_kwargs=patience
    )
    return made


def imported() -> Any:
    """Optuna, which says what is wrong and not what goes on."""
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            f"a search (sweep=tpe and the like) needs optuna ({error}); {install('sweep')}"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _holds(distribution: Any, value: Any) -> bool:
    """Whether a value can have been drawn."""
    if (choices := getattr(distribution, "choices", None)) is not None:
        return isinstance(value, str) and value in choices
    return type(value) in (int, float) and distribution.low <= value <= distribution.high


class Worker:
    """One process that works on a study.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        with self._alone():
            self.study = opened(folder)

    def next(self) -> list[Trial]:
        """Trials to work on now, their numbers in a row; none when the study has all it needs.

        Those come first that a process left. While others work on the last ones, it waits.
        """
        waits = False
        while True:
            with self._alone():
                running = self._running()
                if left := self._left_behind(running):
                    return [left]
                if new := self._new():
                    return new
            if not running:
                return []
            if not waits:
                say(f"waiting for {len(running)} trial(s) that another process works on")
            waits = True
            time.sleep(POLL)

    def tell(self, trial: Trial, loss: float | None) -> None:
        """End a trial.

        Args:
            loss: the best validation loss; None if the job failed.
        """
        from optuna.trial import TrialState

        told = self.study.get_trials(deepcopy=False)[trial.number]
        if loss is None:
            self.study.tell(trial.number, state=TrialState.FAIL)
        elif told.user_attrs.get(PRUNED):
            self.study.tell(trial.number, state=TrialState.PRUNED)
        else:
            self.study.tell(trial.number, loss)
        trial.lock.close()

    def _new(self) -> list[Trial]:
        count = len(self.study.get_trials(deepcopy=False))
        trials = []
        for number in range(count, min(count + self.settings.jobs, self.settings.trials)):
            # by its number, so that an interrupted study draws what it would have drawn
            self.study.sampler = self.settings.sampler(self.settings.seed + number)
            asked = self.study.ask(dict(self.settings.space))
            lock = self._locked(asked.number)
            assert lock is not None
            trials.append(Trial(asked.number, asked.params, False, lock))
        return trials

    def _running(self) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _left_behind(self, running: list[optuna.trial.FrozenTrial]) -> Trial | None:
        for trial in running:
            self._require_drawn(trial)
            if (lock := self._locked(trial.number)) is not None:
                if self._is_training(trial.number):
                    lock.close()
                    continue
                return Trial(trial.number, trial.params, True, lock)
        return None

    def _require_drawn(self, trial: optuna.trial.FrozenTrial) -> None:
        """Raise InputError if a trial's parameters are none of this search: whoever wrote the
        study could let any option be set by them."""
        space: Mapping[str, Any] = self.settings.space
        fits = trial.params.keys() == space.keys()
        if not fits or not all(_holds(space[name], v) for name, v in trial.params.items()):
            raise InputError(
                f"{self.folder / FILE}: trial {trial.number} has values that this study does not "
                f"search; give the search space that it was begun with, or another folder"
            )

    def _is_training(self, number: int) -> bool:
        """Whether a job that a launcher started goes on without the process that asked for it."""
        for run in self.folder.glob(f"{number}_*"):
            if is_run(run):
                held = files.lock(run / ".lock", wait=False)
                if held is None:
                    return True
                held.close()
        return False

    def _locked(self, number: int) -> IO[str] | None:
        return files.lock(self.folder / ".trials" / f"{number}.lock", wait=False)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While this process looks for trials, no other does."""
        held = files.lock(self.folder / ".trials" / "study.lock", wait=True)
        assert held is not None
        with held:
            yield
