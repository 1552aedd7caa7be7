"""``-m``: one command line, many jobs.

Every job is composed and checked before anything starts, so a mistyped value refuses the
sweep as a whole. A job that fails later prints its line at once and does not stop the
others; the sweep then lists them and exits 1. Sweeper and launcher are Hydra's, or a plugin's.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, OmegaConf, open_dict

from charrnn import plugins
from charrnn.cli import conf, hydra_jobs
from charrnn.cli.command_line import Line, hydra_config
from charrnn.cli.job import (
    Job,
    make_absolute,
    noted_failures,
    options_of,
    request_of,
    with_real_paths,
)
from charrnn.cli.literal import override_of, quoted
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError, RunError, shown
from charrnn.files import short_path
from charrnn.options.training import TrainerOptions, count_of
from charrnn.runs.folder import is_run
from charrnn.runs.recorded_config import Record
from charrnn.say import say
from charrnn.sweeps import jobs, leaderboard
from charrnn.sweeps.jobs import Sweep, SweepJob

# of resume=SWEEP (conf/hydra/sweeper/recorded.yaml)
GOING_ON = "hydra_plugins.charrnn_recorded.RecordedJobs"


def run(line: Line) -> None:
    """Check every job, then let Hydra run them.

    Raises:
        InputError: a job cannot run; nothing has begun.
        RunError: some failed; their lines are printed already.
    """
    plan = _checked(line)
    places = line.places()
    job = Job(line.command, line.run, places, jobs=plan.jobs, models=line.models)
    job.goes_on = line.command == "train" and plan.config.resume not in (None, "auto")
    with explaining(line):
        folder = hydra_jobs.folder_of("hydra.sweep.dir", plan.config.hydra.sweep.dir)
    trains = line.command == "train"
    if trains and plan.config.resume is None:
        _refuse_runs(folder)
    with _folder_for_hydra(plan.config, folder) as (folder, words):
        if trains and plan.recorded and plan.config.resume in (None, "auto"):
            jobs.write(replace(plan.recorded, folder=folder))
        # a file of its own: several processes may work on a study
        job.failures = folder / f".failed.{os.getpid()}"
        noted_failures(job.failures)  # those of one that was killed under this number
        raised, whole = None, False
        try:
            with line.opened():
                hydra_jobs.run_sweep(job, line.compose_sweep(*words, plan.naming()))
            whole = True
        except Exception as error:
            raised = error
        finally:
            failed = noted_failures(job.failures)
            if trains:
                again = f"charrnn train resume={shlex.quote(short_path(folder))}{plan.again(line)}"
                leaderboard.tell_end(folder, "" if whole else again)
        for tell in plugins.calls("sweep_end"):
            tell(folder)
    for failure in failed:
        say(f"failed: {failure}")
    gone = lost_job(raised)
    if failed:
        told = [plan.failed(len(failed), job.begun), gone]
        raise RunError("; ".join(filter(None, told))) from raised
    if gone:
        raise RunError(gone) from raised
    if isinstance(raised, OSError) and not job.begun:
        reason = raised.strerror or raised
        raise RunError(f"{folder}: cannot be written ({reason})") from raised
    if raised is not None:
        raise RunError(f"a job failed: {_in_a_line(raised)}") from raised


def _refuse_runs(folder: Path) -> None:
    """Refuse a folder in which a sweep stands: its jobs would stand between those of this one."""
    if any(is_run(path.parent) for path in folder.glob("*/*")):
        name = short_path(folder)
        raise InputError(
            f"hydra.sweep.dir={name}: holds runs already; resume={name} goes on with them, or "
            f"give another folder"
        )


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if isinstance(error, InputError | RunError) else lines[-1]


@contextlib.contextmanager
def _folder_for_hydra(master: DictConfig, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The sweep's folder; where a command makes none, one that goes again, and the words for it."""
    if OmegaConf.to_container(master.hydra.sweep)["dir"] != ".":  # type: ignore[index, call-overload]
        made, settled = hydra_jobs.settled(master, "sweep", folder)
        yield made, [] if settled is None else [f"hydra.sweep.dir={quoted(settled)}"]
        return
    with tempfile.TemporaryDirectory(prefix="charrnn-") as temporary:
        yield Path(temporary), [f"hydra.sweep.dir='{temporary}'"]


# Before anything starts


@dataclass
class _Plan:
    """What is known of a sweep before it starts.

    Attributes:
        config: of the sweep itself.
        jobs: how many there are; None where the sweeper does not say.
        listed: whether they are known beforehand, each of them.
        fixed: the options that every job has alike.
        recorded: what going on with it needs; None where the sweeper is another's.
    """

    config: DictConfig
    jobs: int | None
    listed: bool
    fixed: list[str]
    recorded: Sweep | None = None

    def naming(self) -> str:
        """The override by which Hydra names a job after what differs between them."""
        name = "hydra.job.config.override_dirname.exclude_keys"
        theirs: Any = OmegaConf.select(self.config, name)
        return f"{name}=[{','.join(map(quoted, sorted({*theirs, *self.fixed})))}]"

    def again(self, line: Line) -> str:
        """The words that going on with it needs, quoted for a shell."""
        from charrnn.cli.resuming import words_again  # imports torch, as in the next two

        swept = self.recorded.swept if self.recorded is not None else ()
        config: Any = OmegaConf.to_container(self.config)
        return words_again(line.overrides, line.places(), config, *swept)

    def failed(self, failed: int, begun: int) -> str:
        """How many failed.

        Args:
            begun: those that began in this process; 0 where a launcher has others for them.
        """
        if not self.listed or self.jobs is None:
            return f"{failed} of {begun} jobs failed" if begun else f"jobs failed: {failed}"
        left = self.jobs - begun if begun else 0
        note = f"; {left} were not begun, for hydra.sweeper.max_batch_size" if left > 0 else ""
        return f"{failed} of {self.jobs} jobs failed{note}"


def _checked(line: Line) -> _Plan:
    """Check what each job will be.

    Raises:
        InputError: names the job by its overrides.
    """
    with explaining(line):
        with line.opened():
            master = line.compose_sweep()
            # which knows the choices of each group, for ``glob(*)``
            parser = OverridesParser.create(GlobalHydra.instance().config_loader())
            swept = parser.parse_overrides(line.overrides)
        target = str(master.hydra.sweeper._target_)
        if target == GOING_ON:
            return _checked_again(line, master)
        params: Any = OmegaConf.to_container(master.hydra.sweeper).get("params") or {}  # type: ignore[union-attr]
        lines = [f"{name}={values}" for name, values in params.items()]
        swept = list({o.key_or_group: o for o in parser.parse_overrides(lines) + swept}.values())
        fixed = [o.key_or_group for o in swept if not o.is_sweep_override()]
        names = tuple(o.get_key_element() for o in swept if o.is_sweep_override())
        for call in plugins.calls("sweep_begin"):
            if (study := call(master, swept)) is not None:
                plan = _Plan(master, study.settings["n_trials"], False, fixed)
                _find_models(line, swept)
                return _checked_study(line, plan, study, swept)
        if not target.endswith(".BasicSweeper"):
            # which jobs there are is decided as they run; each begins with the same check
            _check(line, [_first(override) for override in swept], 0)
            _find_models(line, swept)
            return _Plan(master, None, False, fixed)
        listed = _jobs(swept)
    if not listed:
        raise InputError("-m: this sweep has no jobs")
    plan = _Plan(master, len(listed), True, fixed)
    made = [_checked_job(line, job, n, len(listed), plan.naming()) for n, job in enumerate(listed)]
    return replace(plan, recorded=Sweep(Path(), names, made, None, {}))


def _checked_job(line: Line, words: list[str], number: int, count: int, *more: str) -> SweepJob:
    try:
        with explaining(line, words):
            return _check(line, words, number, *more)
    except InputError as refusal:
        if count == 1:
            raise
        raise InputError(f"job {number} ({shown(' '.join(words))}): {refusal}") from refusal


def _checked_again(line: Line, master: DictConfig) -> _Plan:
    """A sweep that goes on: each job is looked at, and begins with its record."""
    from charrnn.cli.resuming import recorded_jobs

    words = recorded_jobs(master.hydra, line.overrides)
    for number, job in enumerate(words):
        _checked_job(line, job, number, len(words))
    return _Plan(master, len(words), True, [])


def _without(overrides: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    swept = {*names}
    return tuple(text for text in overrides if text.partition("=")[0] not in swept)


def _checked_study(line: Line, plan: _Plan, study: Sweep, swept: list[Override]) -> _Plan:
    """A sweep of which the jobs are not known yet: it has a record for each choice of groups."""
    from charrnn.cli.resuming import job_words

    assert study.space is not None
    for number, base in enumerate(study.jobs):
        chosen = base.record.choices
        more = [override_of(name, chosen[name]) for name in study.space if name in chosen]
        today = [*line.overrides, *more]
        _check(line, job_words(study, base, "0", plan.config.hydra, today), number)
    if study.jobs:
        return plan
    groups = conf.page(line.command).groups
    each = [
        [f"{override.get_key_element()}={text}" for text in override.sweep_string_iterator()]
        if override.is_sweep_override() and override.key_or_group in groups
        else [_first(override)]
        for override in swept
    ]
    bases = [_check(line, list(job), 0) for job in itertools.product(*each)]
    bases = [
        replace(base, folder="", overrides=_without(base.overrides, study.swept)) for base in bases
    ]
    return replace(plan, recorded=replace(study, jobs=bases))


def _find_models(line: Line, swept: list[Override]) -> None:
    """Look up, where the jobs are not known yet, each model that one may begin with."""
    first = [_first(override) for override in swept]
    for override in swept:
        if override.key_or_group == "init_from" and override.is_sweep_override():
            for text in override.sweep_string_iterator():
                _check(line, [*first, f"{override.get_key_element()}={text}"], 0)


def _first(override: Override) -> str:
    """The override with the first of its values."""
    key = override.get_key_element()
    value = override.value()
    if isinstance(value, IntervalSweep):
        return f"{key}={value.start}"
    if override.is_sweep_override():
        return next((f"{key}={text}" for text in override.sweep_string_iterator()), f"{key}=null")
    return _written(override)


def _written(override: Override) -> str:
    key = override.get_key_element()
    if override.is_delete() and override.value_type is None:
        return key
    return f"{key}={override.get_value_element_as_str()}"


def _jobs(overrides: list[Override]) -> list[list[str]]:
    """The overrides of each job: the product of everything that is swept over."""
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [_written(override)]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={text}" for text in override.sweep_string_iterator()]
        else:
            raise InputError(
                f"{override.input_line}: Hydra's basic sweeper takes values, no interval; "
                "a list is written 1,2 or range(1,3)"
            )
    return [list(job) for job in itertools.product(*values.values())]


def _check(line: Line, words: list[str], number: int, *more: str) -> SweepJob:
    """Check a job, and what it would be recorded as."""
    config = line.compose([*words, *more])
    with open_dict(config):
        config.hydra.job.num = config.hydra.job.id = number
    with hydra_config(config), line.opened():
        options = options_of(line.command, config, config.hydra)
        if line.command != "train":
            return SweepJob("", Record({}, {}, ""), ())
        folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir)
        asked = request_of(options, config.hydra, folder, line.places())
    _refuse_processes(options.trainer)
    if options.resume not in (None, "auto") and line.check is not None:
        line.check(asked)
    recorded = copy.deepcopy(with_real_paths(options, line.models).plain())
    make_absolute(line.command, recorded, os.getcwd())
    return SweepJob(folder.name, Record(recorded, asked.choices, ""), asked.overrides)


def _refuse_processes(trainer: TrainerOptions) -> None:
    """Refuse a run in several processes: a sweep would have to share the devices out."""
    for name, value, single in (
        ("devices", trainer.devices, count_of(trainer.devices) == 1),
        ("num_nodes", trainer.num_nodes, trainer.num_nodes == 1),
        ("strategy", trainer.strategy, trainer.strategy != "ddp"),
    ):
        if not single:
            raise InputError(
                f"trainer.{name}={value}: in a sweep (-m), each job trains in one process; "
                "start runs with several processes one by one"
            )


def lost_job(error: BaseException | None) -> str:
    """A line about a process that is gone; "" where the error is another one.

    A job that fails by itself hands its error back through Hydra; one that is killed, or runs
    out of memory, cannot.
    """
    if isinstance(error, BrokenProcessPool):
        return "a job's process was killed, and joblib stopped the others with it"
    # it need not be installed
    if type(error).__module__.startswith("submitit."):
        return "a job's process was killed, or left no result; others may be running still"
    return ""
