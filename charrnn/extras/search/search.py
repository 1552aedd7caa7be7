"""Run a hyperparameter search: Optuna's ask-and-tell interface chooses the jobs of Hydra's sweeper.

study.journal    a file in the sweep's folder: the trials, each with the number of its job

The values of a trial depend on the seed, its number and the previous losses, so an interrupted
study resumes exactly. Stored values are used only if they belong to the current search space.
"""

from __future__ import annotations

import json
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
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import BaseTrial, TrialState, create_trial

from charrnn import files
from charrnn.cli import checked_options
from charrnn.errors import InputError, WriteError, shorten, to_one_line
from charrnn.options.ranges import AT_LEAST_1, SEED, require
from charrnn.runs.folder import SWEEP_CONFIG
from charrnn.say import say

STUDY_NAME, JOURNAL, _LOCK = "charrnn", "study.journal", ".study.lock"


class Journal(BaseJournalBackend):
    """Optuna's operations in memory, which `save` writes to a file: a line of JSON for each.

    Optuna's JournalFileBackend locks the file by a link, which a kill leaves behind, and cannot
    read an incomplete line. The process that uses this journal holds the study's lock.

    Operations that are saved together belong together: each of their lines but the last ends with a
    blank, which JSON ignores. An incomplete end of a damaged file is left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        count = len(lines)
        while count and (lines[count - 1].endswith(b" \n") or lines[count - 1][-1:] != b"\n"):
            count -= 1
        if count < len(lines):
            say(f"{path}: its last operation is incomplete and is left out")
        self._content = b"".join(lines[:count])
        self._operations: list[Any] = [json.loads(line) for line in lines[:count]]
        self._num_saved = count

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._operations[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._operations += json.loads(json.dumps(logs))

    def save(self) -> None:
        """Replace the file atomically. Raise WriteError if it cannot be written."""
        if new := [json.dumps(operation) for operation in self._operations[self._num_saved :]]:
            self._content += (" \n".join(new) + "\n").encode()
            self._num_saved = len(self._operations)
            with files.replace_file(self._path) as temporary:
                temporary.write_bytes(self._content)


def open_study(folder: Path) -> tuple[optuna.Study, Journal]:
    """Open the study in a sweep's folder, or create it. Raise InputError for a damaged journal."""
    path = folder / JOURNAL
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        journal = Journal(path)
        study = optuna.create_study(
            storage=JournalStorage(journal), study_name=STUDY_NAME, load_if_exists=True
        )
    except OSError as error:  # The study itself is in memory.
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # A damaged journal can raise any exception.
        raise InputError(f"{path}: is no journal of a study ({to_one_line(error)})") from None
    return study, journal


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
    lock = files.acquire_lock(folder / _LOCK, wait=False)
    if lock is None:
        raise InputError(f"{folder}: another process is running this study; wait until it ends")
    results: list[JobReturn] = []
    with lock:
        files.remove_temporary_files(folder)
        study, journal = open_study(folder)
        OmegaConf.save(config, folder / SWEEP_CONFIG)  # as Hydra's sweeper does
        while trials := _ask_for_trials(study, settings, space, folder):
            journal.save()
            jobs = [[*fixed, *_make_overrides(trial, folder)] for trial in trials]
            new_results = launcher.launch(jobs, initial_job_idx=trials[0].number)
            try:
                for trial, result in zip(trials, new_results, strict=True):
                    _record_result(study, trial.number, result)
            finally:
                journal.save()
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
    for name, admitted in (("n_trials", AT_LEAST_1), ("n_jobs", AT_LEAST_1), ("seed", SEED)):
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
    study: optuna.Study, settings: Any, space: dict[str, BaseDistribution], folder: Path
) -> Sequence[BaseTrial]:
    """Return the next trials, with consecutive numbers; none if the study is complete."""
    for running in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # An interrupted process left this trial. The file is not trusted: its trial must not set an
        # option outside of the search space.
        try:
            create_trial(state=running.state, params=running.params, distributions=dict(space))
        except ValueError:
            raise InputError(
                f"{folder / JOURNAL}: trial {running.number} has values outside of the search "
                f"space; give the study's original search space, or another folder"
            ) from None
        return [running]
    first, trials = len(study.get_trials(deepcopy=False)), []
    for number in range(first, min(first + settings["n_jobs"], settings["n_trials"])):
        # A seed per trial makes a resumed study draw the same values.
        node = {"_convert_": "all", **settings["sampler"]}
        study.sampler = instantiate(node, seed=settings["seed"] + number)
        trials.append(study.ask(dict(space)))
    return trials


def _make_overrides(trial: BaseTrial, sweep: Path) -> list[str]:
    resume = ["resume=auto"] if any(sweep.glob(f"{trial.number}_*")) else []
    return [*resume, *(f"{name}={value}" for name, value in trial.params.items())]


def _record_result(study: optuna.Study, number: int, result: JobReturn) -> None:
    """Store the result of a job in its trial, which has the same number.

    A full disk says nothing about the trial's values. The trial stays unfinished, for a resume.
    """
    if result.status != JobStatus.COMPLETED:
        try:
            result.return_value  # noqa: B018  (raises the job's error)
        except WriteError:
            raise
        except Exception:
            study.tell(number, state=TrialState.FAIL)
    elif result.return_value is None:
        study.tell(number, state=TrialState.FAIL)
        raise InputError(
            f"data.val_frac: job {number} has no validation loss, but a study needs one; use a "
            f"larger validation split"
        )
    else:
        study.tell(number, result.return_value)
