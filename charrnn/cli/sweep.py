"""``-m``: one command line, many jobs.

Every job is composed and checked before anything starts, so a mistyped value refuses the
sweep as a whole. A job that fails later prints its line at once and does not stop the
others; the sweep then lists them and exits 1. Sweeper and launcher are Hydra's, or a plugin's.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, OmegaConf, open_dict

from charrnn import plugins
from charrnn.cli import failures, hydra_main, launching, surroundings
from charrnn.cli.job import Job, options_of
from charrnn.cli.line import Line, hydra_config
from charrnn.cli.literal import quoted
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError, RunError, shown
from charrnn.runs.folder import is_run
from charrnn.say import say
from charrnn.sweeps import ending


def run(line: Line) -> None:
    """Check every job, then let Hydra run them.

    Raises:
        InputError: a job cannot run; nothing has begun.
        RunError: some failed; their lines are printed already.
    """
    plan = _checked(line)
    job = Job(line.command, line.run, surroundings.wants_traceback(), jobs=plan.jobs)
    with explaining(line):
        folder = hydra_main.folder_of("hydra.sweep.dir", plan.config.hydra.sweep.dir)
    if line.command == "train" and plan.config.resume != "auto":
        _refuse_runs(folder)
    with _folder_for_hydra(plan.config, folder) as (folder, words):
        # a file of its own: several processes may work on a study
        job.failures = folder / f".failed.{os.getpid()}"
        failures.taken(job.failures)  # those of one that was killed under this number
        raised, whole = None, False
        try:
            hydra_main.run(line, job, [*line.words(["--multirun"]), *words, plan.naming()])
            whole = True
        except Exception as error:
            raised = error
        finally:
            failed = failures.taken(job.failures)
            if line.command == "train":
                ending.tell(folder, whole)
        for tell in plugins.calls("sweep_end"):
            tell(folder)
    for failure in failed:
        say(f"failed: {failure}")
    gone = launching.lost(raised)
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
        shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        raise InputError(
            f"hydra.sweep.dir={shown}: holds runs already; resume={shown} goes on with them, or "
            f"give another folder"
        )


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if isinstance(error, InputError | RunError) else lines[-1]


@contextlib.contextmanager
def _folder_for_hydra(master: DictConfig, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The sweep's folder; where a command makes none, one that goes again, and the words for it."""
    if OmegaConf.to_container(master.hydra.sweep)["dir"] != ".":  # type: ignore[index, call-overload]
        yield hydra_main.settled(master, "sweep", folder)
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
    """

    config: DictConfig
    jobs: int | None
    listed: bool
    fixed: list[str]

    def naming(self) -> str:
        """The override by which Hydra names a job after what differs between them."""
        name = "hydra.job.config.override_dirname.exclude_keys"
        theirs: Any = OmegaConf.select(self.config, name)
        return f"{name}=[{','.join(map(quoted, {*theirs, *self.fixed}))}]"

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
        searched = [o for o in line.overrides if o.lstrip("+").startswith("hydra.searchpath=")]
        parser, master = _parser(line, searched)
        swept = parser.parse_overrides(line.overrides)
        master = line.compose([_first(override) for override in swept])
        is_basic = str(master.hydra.sweeper._target_).endswith(".BasicSweeper")
        params: Any = OmegaConf.to_container(master.hydra.sweeper).get("params") or {}  # type: ignore[union-attr]
        lines = [f"{name}={values}" for name, values in params.items()]
        swept = parser.parse_overrides(lines) + swept
        several = {o.key_or_group: o.is_sweep_override() for o in swept}  # the last one counts
        fixed = [name for name, is_swept in several.items() if not is_swept]
        if not is_basic:
            # which jobs there are is decided as they run; each begins with the same check
            for check in plugins.calls("sweep_begin"):
                check(master, list({o.key_or_group: o for o in swept}.values()))
            _check(line, [_first(override) for override in swept], 0)
            return _Plan(master, master.hydra.sweeper.get("n_trials"), False, fixed)
        jobs = _jobs(swept)
    if not jobs:
        raise InputError("-m: this sweep has no jobs")
    for number, job in enumerate(jobs):
        try:
            with explaining(line, job):
                _check(line, job, number)
        except InputError as refusal:
            if len(jobs) == 1:
                raise
            raise InputError(f"job {number} ({shown(' '.join(job))}): {refusal}") from refusal
    return _Plan(master, len(jobs), True, fixed)


def _parser(line: Line, overrides: list[str]) -> tuple[OverridesParser, DictConfig]:
    """A parser that knows the choices of each group, for ``glob(*)``."""
    from hydra import compose

    with line.opened():
        # composing lets the loader look into --config-dir and hydra.searchpath too
        config = compose(line.config_name, line.searching(overrides), return_hydra_config=True)
        return OverridesParser.create(GlobalHydra.instance().config_loader()), config


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


def _check(line: Line, job: list[str], number: int) -> None:
    config = line.compose(job)
    with open_dict(config):
        config.hydra.job.num = config.hydra.job.id = number
    with hydra_config(config):
        options = options_of(line.command, config, config.hydra)
    if line.command == "train":
        _refuse_processes(options.trainer)


def _refuse_processes(trainer: dict[str, Any]) -> None:
    """Refuse a run in several processes: a sweep would have to share the devices out."""
    devices = trainer.get("devices", 1)
    count = len(devices) if isinstance(devices, list) else devices
    for name, value, single in (
        ("devices", devices, count == 1),
        ("num_nodes", trainer.get("num_nodes"), trainer.get("num_nodes") in (1, None)),
        ("strategy", trainer.get("strategy"), trainer.get("strategy") != "ddp"),
    ):
        if not single:
            raise InputError(
                f"trainer.{name}={value}: in a sweep (-m), each job trains in one process; "
                "start runs with several processes one by one"
            )
