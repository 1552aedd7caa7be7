"""A study of Optuna's in a sweep's folder, on which any number of processes may work.

study.db            SQLite, in which each trial has the number of its job
.trials/N.lock      held by the process that works on trial N

A process that dies lets go of its locks, whatever it dies of. A trial that is running by the
study and whose lock is free is taken over by whoever asks next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from charrnn import files
from charrnn.errors import InputError, needing
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


def imported() -> Any:
    """Optuna, which says what is wrong and not what goes on; InputError if it is not installed."""
    with needing("a search (sweep=tpe and the like) needs optuna", "sweep"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _storage(folder: Path) -> Any:
    patience = {"connect_args": {"timeout": 60}}  # seconds, while another process writes
    url = f"sqlite:///{folder.absolute() / FILE}"
    return imported().storages.RDBStorage(url, engine_kwargs=patience)


def opened(folder: Path) -> optuna.Study:
    """The study of a sweep's folder, made where there is none."""
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
        optuna, storage = imported(), _storage(folder)
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


class Worker:
    """One process that works on the study of a sweep's folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self._locks: dict[int, IO[str]] = {}  # of the trials that this process works on
        with self._alone():
            self.study = opened(folder)

    def next(self) -> Sequence[optuna.trial.BaseTrial]:
        """Trials to work on now, their numbers in a row; none when the study has all it needs.

        Those come first that a process left. While others work on the last ones, it waits.
        """
        running = imported().trial.TrialState.RUNNING
        waits = False
        while True:
            with self._alone():
                begun = self.study.get_trials(deepcopy=False, states=(running,))
                for trial in begun:
                    self._require_drawn(trial)
                    if self._takes(trial.number):
                        return [trial]
                if new := self._new():
                    return new
            if not begun:
                return []
            if not waits:
                say(f"waiting for {len(begun)} trial(s) that another process works on")
            waits = True
            time.sleep(POLL)

    def tell(self, number: int, loss: float | None) -> None:
        """End a trial.

        Args:
            loss: the best validation loss; None if the job failed.
        """
        states = imported().trial.TrialState
        pruned = PRUNED in self.study.get_trials(deepcopy=False)[number].user_attrs
        if loss is None or pruned:
            self.study.tell(number, state=states.FAIL if loss is None else states.PRUNED)
        else:
            self.study.tell(number, loss)
        self._locks.pop(number).close()

    def _new(self) -> list[optuna.trial.BaseTrial]:
        count = len(self.study.get_trials(deepcopy=False))
        trials: list[optuna.trial.BaseTrial] = []
        for number in range(count, min(count + self.settings.jobs, self.settings.trials)):
            # by its number, so that an interrupted study draws what it would have drawn
            self.study.sampler = self.settings.sampler(self.settings.seed + number)
            trials.append(self.study.ask(dict(self.settings.space)))
            self._takes(number)
        return trials

    def _require_drawn(self, trial: optuna.trial.FrozenTrial) -> None:
        """Raise InputError if a trial is none of this search: whoever wrote the study could let
        any option be set by it."""
        make, space = imported().trial.create_trial, dict(self.settings.space)
        try:
            make(state=trial.state, params=trial.params, distributions=space)
        except ValueError:
            raise InputError(
                f"{self.folder / FILE}: trial {trial.number} has values that this study does not "
                f"search; give the search space that it was begun with, or another folder"
            ) from None

    def _takes(self, number: int) -> bool:
        """Lock a trial; False where another process works on it, a launcher's job among them."""
        lock = files.lock(self.folder / ".trials" / f"{number}.lock", wait=False)
        if lock is None:
            return False
        for run in filter(is_run, self.folder.glob(f"{number}_*")):
            held = files.lock(run / ".lock", wait=False)
            if held is None:
                lock.close()
                return False
            held.close()
        self._locks[number] = lock
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While this process looks for trials, no other does."""
        held = files.lock(self.folder / ".trials" / "study.lock", wait=True)
        assert held is not None
        with held:
            yield
