"""Run a hyperparameter search: Optuna's ask-and-tell interface chooses the jobs of Hydra's sweeper.

The values of a trial depend on the seed, its number and the losses of the trials before it. So a
study that is started again asks for the same values, and each of its jobs continues the run in its
folder. A job whose run has ended only returns its loss. The study itself needs no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState

from charrnn.cli import checked_options
from charrnn.errors import InputError, shorten
from charrnn.options.ranges import SEED, interval, require
from charrnn.runs.folder import SWEEP_CONFIG


def search(
    config: DictConfig, context: HydraContext, launcher: Launcher, arguments: Sequence[str]
) -> list[JobReturn]:
    """Run trials until the study has `n_trials`, and return the results of their jobs.

    Args:
        config: of the sweep.
        arguments: the sweep's overrides.
    """
    folder = Path(config.hydra.sweep.dir)
    settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    lines = [f"{name}={value}" for name, value in (settings["params"] or {}).items()]
    parsed = OverridesParser.create(context.config_loader).parse_overrides([*lines, *arguments])
    overrides = {override.get_key_element(): override for override in parsed}
    space = {n: to_distribution(o) for n, o in overrides.items() if o.is_sweep_override()}
    _check_settings(config, settings, space)
    fixed = [
        f"{name}={override.get_value_element_as_str()}"
        for name, override in overrides.items()
        if not override.is_sweep_override()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, results = optuna.create_study(), list[JobReturn]()
    OmegaConf.save(config, folder / SWEEP_CONFIG)  # as Hydra's sweeper does
    while trials := _ask_for_trials(study, settings, space):
        jobs = [[*fixed, *_make_overrides(trial, folder)] for trial in trials]
        new_results = launcher.launch(jobs, initial_job_idx=trials[0].number)
        for trial, result in zip(trials, new_results, strict=True):
            _tell_result(study, trial, result)
        results += new_results
    return results


def to_distribution(override: Override) -> BaseDistribution:
    """Convert a sweep override to a distribution. Raise InputError if its values form none."""
    value = override.value()
    low: Any
    high: Any
    try:
        if isinstance(value, IntervalSweep):
            low, high, step = value.start, value.end, None
        elif isinstance(value, RangeSweep):
            numbers = [*value.range()]  # As in Python, the range excludes its end.
            low, high, step = min(numbers), max(numbers), abs(value.step)
        else:
            return CategoricalDistribution(list(override.sweep_string_iterator()))
        log = "log" in value.tags
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log, 1 if step is None else int(step))
        spacing = None if step is None else float(step)
        return FloatDistribution(float(low), float(high), log, spacing)
    except (ValueError, TypeError) as error:
        raise InputError(f"{shorten(override.input_line)}: {error}") from None


def _check_settings(config: DictConfig, settings: Any, space: dict[str, BaseDistribution]) -> None:
    number = interval(ge=1)
    for name, admitted in (("n_trials", number), ("n_jobs", number), ("seed", SEED)):
        value, option = settings[name], f"hydra.sweeper.{name}"
        require(type(value) is int, option, value, "takes a whole number")
        require(admitted.accepts(value), option, value, admitted.requirement)
    every = config.validate_every
    require(every != 0, "validate_every", every, "a study needs validation losses")
    if not space:
        raise InputError(
            "sweep: the search space is empty; give an option an interval(1e-4,1e-2), a "
            "choice(a,b) or a range(1,4)"
        )
    sampler = settings["sampler"]
    arguments = {name: value for name, value in sampler.items() if not name.startswith("_")}
    checked_options.check_class("hydra.sweeper.sampler", sampler["_target_"], arguments)


def _ask_for_trials(
    study: optuna.Study, settings: Any, space: dict[str, BaseDistribution]
) -> list[Trial]:
    """Return the next trials, with consecutive numbers; none if the study is complete."""
    first, trials = len(study.get_trials(deepcopy=False)), []
    for number in range(first, min(first + settings["n_jobs"], settings["n_trials"])):
        # With a seed for each trial, a study that is started again draws the same values.
        node = {"_convert_": "all", **settings["sampler"]}
        study.sampler = instantiate(node, seed=settings["seed"] + number)
        trials.append(study.ask(dict(space)))
    return trials


def _make_overrides(trial: Trial, sweep: Path) -> list[str]:
    resume = ["resume=auto"] if any(sweep.glob(f"{trial.number}_*")) else []
    return [*resume, *(f"{name}={value}" for name, value in trial.params.items())]


def _tell_result(study: optuna.Study, trial: Trial, result: JobReturn) -> None:
    """Tell the study the loss of a job, or that it has failed; a continued study tries it again."""
    if result.status != JobStatus.COMPLETED:
        study.tell(trial, state=TrialState.FAIL)
    elif result.return_value is None:
        raise InputError(
            f"data.val_frac: job {trial.number} has no validation loss, but a study needs one; use "
            f"a larger validation split"
        )
    else:
        study.tell(trial, result.return_value)
