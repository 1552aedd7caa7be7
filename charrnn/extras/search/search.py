"""``sweep=random|tpe|halving``: a study of Optuna's says which jobs there are.

study.journal    in the sweep's folder: the trials, each with the number of its job

What a trial draws depends on the seed, its number and the losses before it, so an interrupted study
goes on as it would have gone. A value that is stored is taken only as one of today's search space.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from charrnn import files
from charrnn.cli import checked_options
from charrnn.errors import InputError
from charrnn.extras.search.search_space import distribution, optuna_module
from charrnn.options.ranges import AT_LEAST_1, SEED, require

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

NAME, FILE = "charrnn", "study.journal"
PRUNED = "pruned"  # the attribute of a trial that a job ended early


class StudyFile:
    """The study of a sweep's folder, made where there is none.

    Args:
        pruner: decides, by the losses of the other trials, whether one ends early.
    """

    def __init__(self, folder: Path, pruner: optuna.pruners.BasePruner | None = None) -> None:
        module = optuna_module()
        backend = module.storages.journal.JournalFileBackend(str(folder / FILE))
        self.storage: Any = module.storages.JournalStorage(backend)
        self.study: optuna.Study = module.create_study(
            storage=self.storage,
            study_name=NAME,
            direction="minimize",
            load_if_exists=True,
            pruner=pruner,
        )

    def trial(self, number: int) -> optuna.Trial:
        """A trial that was begun."""
        study_id = self.storage.get_study_id_from_name(NAME)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        made: optuna.Trial = optuna_module().Trial(self.study, trial_id)
        return made


def search(
    config: DictConfig, context: HydraContext, launcher: Launcher, arguments: Sequence[str]
) -> list[JobReturn]:
    """Run trials until the study has as many as it is to have.

    Args:
        config: of the sweep.
        arguments: its overrides.

    Returns:
        What came of the jobs that were run from here.

    Raises:
        InputError: the search space or the study does not fit, or another process works on it.
    """
    folder = Path(config.hydra.sweep.dir)
    settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    lines = [f"{name}={value}" for name, value in (settings["params"] or {}).items()]
    parsed = OverridesParser.create(context.config_loader).parse_overrides([*lines, *arguments])
    overrides = {override.get_key_element(): override for override in parsed}
    space = {n: distribution(o) for n, o in overrides.items() if o.is_sweep_override()}
    _check(config, settings, space)
    alike = [
        f"{name}={override.get_value_element_as_str()}"
        for name, override in overrides.items()
        if not override.is_sweep_override()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    held = files.lock(folder / ".study.lock", wait=False)
    if held is None:
        raise InputError(f"{folder}: another process works on this study")
    results: list[JobReturn] = []
    with held:
        study = StudyFile(folder).study
        while trials := _next(study, settings, space, folder):
            words = [[*alike, *_own_words(trial, folder)] for trial in trials]
            ended = launcher.launch(words, initial_job_idx=trials[0].number)
            for trial, result in zip(trials, ended, strict=True):
                _tell(study, trial.number, result)
            results += ended
    return results


def _check(config: DictConfig, settings: Any, space: Any) -> None:
    for name, admitted in (("n_trials", AT_LEAST_1), ("n_jobs", AT_LEAST_1), ("seed", SEED)):
        value, option = settings[name], f"hydra.sweeper.{name}"
        require(type(value) is int, option, value, "takes a whole number")
        require(admitted.admits(value), option, value, admitted.demand)
    every = config.validate_every
    require(every != 0, "validate_every", every, "a study goes by the validation losses")
    if not space:
        raise InputError(
            "sweep: there is nothing to search; give options an interval(1e-4,1e-2), a choice(a,b) "
            "or a range(1,4)"
        )
    sampler = settings["sampler"]
    known = {name: value for name, value in sampler.items() if not name.startswith("_")}
    checked_options.check("hydra.sweeper.sampler", sampler["_target_"], known, {"seed"}, {})


def _next(
    study: optuna.Study, settings: Any, space: dict[str, BaseDistribution], folder: Path
) -> Sequence[optuna.trial.BaseTrial]:
    """Trials to work on now, their numbers in a row; none when the study has all it needs."""
    module = optuna_module()
    for begun in study.get_trials(deepcopy=False, states=(module.trial.TrialState.RUNNING,)):
        # left by a process that was ended; whoever wrote the file could let any option be set by it
        try:
            module.trial.create_trial(
                state=begun.state, params=begun.params, distributions=dict(space)
            )
        except ValueError:
            raise InputError(
                f"{folder / FILE}: trial {begun.number} has values that this command does not "
                f"search; give the search space that it was begun with, or another folder"
            ) from None
        return [begun]
    count = len(study.get_trials(deepcopy=False))
    trials = []
    for number in range(count, min(count + settings["n_jobs"], settings["n_trials"])):
        # by its number, so that an interrupted study draws what it would have drawn
        node = {"_convert_": "all", **settings["sampler"]}
        study.sampler = instantiate(node, seed=settings["seed"] + number)
        trials.append(study.ask(dict(space)))
    return trials


def _own_words(trial: optuna.trial.BaseTrial, sweep: Path) -> list[str]:
    goes_on = ["resume=auto"] if any(sweep.glob(f"{trial.number}_*")) else []
    return [*goes_on, *(f"{name}={value}" for name, value in trial.params.items())]


def _tell(study: optuna.Study, number: int, result: JobReturn) -> None:
    """End a trial by what came of its job."""
    states = optuna_module().trial.TrialState
    if result.status != JobStatus.COMPLETED:
        study.tell(number, state=states.FAIL)
    elif PRUNED in study.get_trials(deepcopy=False)[number].user_attrs:
        study.tell(number, state=states.PRUNED)
    elif result.return_value is None:
        study.tell(number, state=states.FAIL)
        raise InputError(
            f"data.val_frac: job {number} has no validation loss, by which a study goes; give it "
            f"more text to validate on"
        )
    else:
        study.tell(number, result.return_value)
