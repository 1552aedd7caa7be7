"""``sweep=random|tpe``: Optuna's ask and tell behind Hydra's sweeper.

study.journal    in the sweep's folder: the trials, each with the number of its job

What a trial draws depends on the seed, its number and the losses before it, so an interrupted study
goes on as it would have gone. A value that is stored is taken only as one of today's search space.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from charrnn import files
from charrnn.cli import checked_options
from charrnn.errors import InputError, needing, short
from charrnn.options.ranges import AT_LEAST_1, SEED, require

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

NAME, FILE = "charrnn", "study.journal"


def import_optuna() -> Any:
    """Optuna, its log reduced to warnings.

    Raises:
        InputError: it is not installed.
    """
    with needing("a search (sweep=tpe and the like) needs optuna", "sweep"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(folder: Path) -> optuna.Study:
    """The study of a sweep's folder, made where there is none."""
    module = import_optuna()
    backend = module.storages.journal.JournalFileBackend(str(folder / FILE))
    storage = module.storages.JournalStorage(backend)
    study: optuna.Study = module.create_study(
        storage=storage, study_name=NAME, direction="minimize", load_if_exists=True
    )
    return study


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
    fixed = [
        f"{name}={override.get_value_element_as_str()}"
        for name, override in overrides.items()
        if not override.is_sweep_override()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    lock = files.lock(folder / ".study.lock", wait=False)
    if lock is None:
        raise InputError(f"{folder}: another process works on this study")
    results: list[JobReturn] = []
    with lock:
        study = open_study(folder)
        while trials := _ask(study, settings, space, folder):
            jobs = [[*fixed, *_overrides(trial, folder)] for trial in trials]
            returned = launcher.launch(jobs, initial_job_idx=trials[0].number)
            for trial, result in zip(trials, returned, strict=True):
                _tell(study, trial.number, result)
            results += returned
    return results


def distribution(override: Override) -> BaseDistribution:
    """What the values of an option, in Hydra's grammar, are drawn from.

    Raises:
        InputError: nothing can be drawn from it.
    """
    value, distributions = override.value(), import_optuna().distributions
    low: Any
    high: Any
    try:
        if isinstance(value, IntervalSweep):
            low, high, step = value.start, value.end, None
        elif isinstance(value, RangeSweep):
            numbers = [*value.range()]  # without its end, as Hydra counts
            low, high, step = min(numbers), max(numbers), abs(value.step)
        else:
            choices = list(override.sweep_string_iterator())
            made: BaseDistribution = distributions.CategoricalDistribution(choices)
            return made
        log = "log" in value.tags
        if isinstance(low, int) and isinstance(high, int):
            made = distributions.IntDistribution(low, high, log, 1 if step is None else int(step))
        else:
            spacing = None if step is None else float(step)
            made = distributions.FloatDistribution(float(low), float(high), log, spacing)
        return made
    except (ValueError, TypeError) as error:
        raise InputError(f"{short(override.input_line)}: {error}") from None


def _check(config: DictConfig, settings: Any, space: dict[str, BaseDistribution]) -> None:
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
    arguments = {name: value for name, value in sampler.items() if not name.startswith("_")}
    checked_options.check_arguments("hydra.sweeper.sampler", sampler["_target_"], arguments)


def _ask(
    study: optuna.Study, settings: Any, space: dict[str, BaseDistribution], folder: Path
) -> Sequence[optuna.trial.BaseTrial]:
    """Trials to work on now, numbered in a row; none when the study has all it needs."""
    module = import_optuna()
    for running in study.get_trials(deepcopy=False, states=(module.trial.TrialState.RUNNING,)):
        # left by a process that was ended; whoever wrote the file could let any option be set by it
        try:
            module.trial.create_trial(
                state=running.state, params=running.params, distributions=dict(space)
            )
        except ValueError:
            raise InputError(
                f"{folder / FILE}: trial {running.number} has values that this command does not "
                f"search; give the search space that it was begun with, or another folder"
            ) from None
        return [running]
    first, trials = len(study.get_trials(deepcopy=False)), []
    for number in range(first, min(first + settings["n_jobs"], settings["n_trials"])):
        # by its number, so that an interrupted study draws what it would have drawn
        node = {"_convert_": "all", **settings["sampler"]}
        study.sampler = instantiate(node, seed=settings["seed"] + number)
        trials.append(study.ask(dict(space)))
    return trials


def _overrides(trial: optuna.trial.BaseTrial, sweep: Path) -> list[str]:
    resume = ["resume=auto"] if any(sweep.glob(f"{trial.number}_*")) else []
    return [*resume, *(f"{name}={value}" for name, value in trial.params.items())]


def _tell(study: optuna.Study, number: int, result: JobReturn) -> None:
    """End a trial by what came of its job."""
    states = import_optuna().trial.TrialState
    if result.status != JobStatus.COMPLETED:
        study.tell(number, state=states.FAIL)
    elif result.return_value is None:
        study.tell(number, state=states.FAIL)
        raise InputError(
            f"data.val_frac: job {number} has no validation loss, by which a study goes; give it "
            f"more text to validate on"
        )
    else:
        study.tell(number, result.return_value)
