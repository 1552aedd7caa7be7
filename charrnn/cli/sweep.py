"""``-m``: one command line, many jobs, which Hydra's sweeper and launcher run.

Each job is composed and checked before the first begins, so a mistyped value refuses the sweep as
a whole. A job that fails later prints its line at once and does not stop the others.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import open_dict, read_write

from charrnn.cli.explained import key_of
from charrnn.cli.front import Line, Task, by_hydra, composing, explaining, hydra_config, options_of
from charrnn.cli.literal import as_typed, quoted
from charrnn.errors import InputError, RunError, one_line, shown
from charrnn.files import short_path
from charrnn.say import say


@dataclass(frozen=True)
class Plan:
    """What is known of a sweep before it begins.

    Attributes:
        folder: of the sweep, where its jobs make folders.
        jobs: how many there are; None where the sweeper decides.
        fixed: the options that are alike in all of them.
    """

    folder: Path
    jobs: int | None
    fixed: tuple[str, ...]

    def naming(self) -> str:
        """The word by which Hydra calls a job after what differs."""
        names = ",".join(map(quoted, dict.fromkeys([*self.fixed, "resume", "trust"])))
        return f"hydra.job.config.override_dirname.exclude_keys=[{names}]"


def run(line: Line) -> None:
    """Check every job, then let Hydra run them.

    Raises:
        InputError: a job cannot run; nothing has begun.
        RunError: some failed; their lines are printed already.
    """
    plan = _plan(line)
    task = Task(line, jobs=plan.jobs)
    if not line.command.get("MAKES_FOLDER"):
        with tempfile.TemporaryDirectory(prefix="charrnn-") as folder:  # for what Hydra writes
            _run(line, task, Path(folder), plan.naming())
        return
    whole = False
    try:
        _run(line, task, plan.folder, plan.naming())
        whole = True
    finally:
        _tell_end(line, plan.folder, whole)


def _run(line: Line, task: Task, folder: Path, naming: str) -> None:
    raised: Exception | None = None
    try:
        by_hydra(line, task, naming, f"hydra.sweep.dir={quoted(str(folder))}")
    except Exception as error:  # of the first job that failed
        raised = error
    for failure in task.failed:
        say(f"failed: {failure}")
    if task.failed:
        raise RunError(f"{len(task.failed)} of {task.jobs or task.begun} jobs failed") from raised
    if isinstance(raised, RunError):
        raise raised
    if isinstance(raised, InputError) and not any(folder.glob("*/")):  # of the sweeper
        raise raised
    if isinstance(raised, InputError):  # of a job in another process
        raise RunError(f"a job failed: {raised}") from raised
    if raised is not None:
        raise RunError(f"a job failed: {one_line(raised, 500, kind=True)}") from raised


def _tell_end(line: Line, folder: Path, whole: bool) -> None:
    from charrnn.runs import leaderboard

    own = [as_typed(word) for word in line.words]
    own = [word for word in own if key_of(word) not in ("hydra.sweep.dir", "resume")]
    again = [*line.flags.words(), *own, f"hydra.sweep.dir={short_path(folder)}", "resume=auto"]
    leaderboard.tell_end(folder, "" if whole else f"charrnn train {shlex.join(again)}")


def _plan(line: Line) -> Plan:
    """Look at each job, as far as they are known.

    Raises:
        InputError: names a job by its overrides.
    """
    with explaining(line), composing(line):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides(line.words)
        config = line.compose([_values(override)[0] for override in parsed])
        given = config.hydra.sweeper.get("params") or {}
        further = parser.parse_overrides([f"{name}={value}" for name, value in given.items()])
        each = {key_of(str(o.input_line)): o for o in [*further, *parsed]}
        fixed = tuple(key for key, override in each.items() if not override.is_sweep_override())
        listed = config.hydra.sweeper._target_.endswith(".BasicSweeper")
        if listed and (
            between := [o for o in each.values() if isinstance(o.value(), IntervalSweep)]
        ):
            raise InputError(
                f"{between[0].input_line}: Hydra's basic sweeper takes values, no interval; a list "
                f"is written 1,2 or range(1,3)"
            )
        jobs = [list(job) for job in itertools.product(*map(_values, each.values()))]
        for number, words in enumerate(jobs if listed else jobs[:1]):
            differs = " ".join(word for word in words if key_of(word) not in fixed)
            with _named(f"job {number} ({differs}): " if len(jobs) > 1 else ""):
                _check(line, words, number)
        folder = Path(config.hydra.sweep.dir).absolute()
    if line.command.get("MAKES_FOLDER") and not any(key_of(w) == "resume" for w in line.words):
        _refuse_runs(folder)
    return Plan(folder, len(jobs) if listed else None, fixed)


def _check(line: Line, words: list[str], number: int) -> None:
    with explaining(line, words):
        config = line.compose(words)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.num = number
        with hydra_config(config):
            options = options_of(line, config)
    if check := line.command.get("check_in_sweep"):
        check(options)


@contextlib.contextmanager
def _named(job: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{shown(job)}{error}") from error


def _values(override: Override) -> list[str]:
    """The overrides that one stands for: one for each of its values."""
    key = override.get_key_element()
    if isinstance(value := override.value(), IntervalSweep):
        return [f"{key}={value.start}"]
    if override.is_sweep_override():
        return [f"{key}={text}" for text in override.sweep_string_iterator()]
    return [str(override.input_line)]


def _refuse_runs(folder: Path) -> None:
    """Refuse a folder in which a sweep stands: its jobs would stand between those of this one."""
    if any(folder.glob("*/.hydra/config.yaml")):
        raise InputError(
            f"hydra.sweep.dir={short_path(folder)}: holds runs already; with resume=auto the "
            f"command that began them goes on with them, or give another folder"
        )
