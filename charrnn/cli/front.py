"""From the words of a command line into the command.

`main` is the command line's door: Hydra composes, makes the folder, and runs the job or the sweep.
`call` is Python's: it composes one run. Both lead into `execute`.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import conf, exit_codes
from charrnn.cli.checked_options import UnknownOption, build
from charrnn.cli.command_line import Line
from charrnn.cli.hydra_errors import translate_error
from charrnn.cli.overrides import Override
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.files import make_folder
from charrnn.plugins import Command
from charrnn.say import say, shorten_numbers


@dataclass(frozen=True)
class Job:
    """What a command runs, alone or one of a sweep.

    Attributes:
        number: in its sweep, from 0; None outside a sweep.
        differs: the overrides by which it differs from the others of its sweep, in a line.
        folder: of the run, absolute; made already.
        overrides: in Hydra's grammar, without ``hydra.*``.
        hydra: Hydra's own part of the config, unresolved.
    """

    number: int | None = None
    differs: str = ""
    folder: Path = Path()
    overrides: tuple[str, ...] = ()
    hydra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, hydra: Any) -> Job:
        """The job that Hydra runs, by its part of the config."""
        values: Any = OmegaConf.to_container(hydra, resolve=False, enum_to_str=True)
        return cls(
            number=int(hydra.job.num) if values["mode"] == "MULTIRUN" else None,
            differs=str(values["job"]["override_dirname"]).replace(",", " "),
            folder=Path(hydra.runtime.output_dir),
            overrides=tuple(values["overrides"]["task"]),
            hydra=values,
        )

    @property
    def given(self) -> tuple[str, ...]:
        """The options that its overrides set, dotted."""
        return tuple(dict.fromkeys(Override.from_word(word).key for word in self.overrides))

    @property
    def name(self) -> str:
        """How it is told from the others of its sweep; "" outside a sweep."""
        return "" if self.number is None else f"job {self.number} ({self.differs})"


# what the command asks for that a job runs
current_job: ContextVar[Job] = ContextVar("charrnn_job", default=Job())  # noqa: B039  (frozen)


def _job_folder(number: int, overrides: str) -> str:
    """The folder of a job of a sweep: its number, which no other has, and what differs, cut."""
    bare = re.sub(r"[\\'\"\[\]{}]", "", shorten_numbers(overrides))
    safe = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", bare)
    return "_".join([str(number), *[safe[:120]] * bool(safe)])  # file systems take 255 bytes


# for conf/; every process that runs a job imports this module
OmegaConf.register_new_resolver("charrnn.job_folder", _job_folder, replace=True)


def main(command: Command, words: list[str], sweep: Callable[[Line], None]) -> int:
    """Run a command with the words that follow it, and return the exit code.

    Args:
        sweep: runs a line of several jobs (`charrnn.cli.sweep.run`).
    """
    if (follow := command.get("follow")) and (code := follow()) is not None:
        return int(code)
    line = Line.from_words(command, words)
    if line.show_only:
        _show(line)
    elif line.multirun:
        _enable_garbage_collector()
        sweep(line)
    elif line.is_simple:
        _call(line)  # hydra.main composes twice, which is long beside a short sample
    else:
        run_hydra_main(line, Task(line))
    return 0


def call(command: Command, words: list[str]) -> Any:
    """Run a command from Python, and return its result.

    Raises:
        InputError, RunError: as the command does, or the words do not fit.
    """
    line = Line.from_words(command, words)
    if line.multirun or line.show_only:
        raise InputError("-m, --cfg and the like are for the command line only")
    return _call(line)


def _call(line: Line) -> Any:
    with initialize_hydra(line):
        with translate_errors(line):
            config = line.compose()
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.mode = "RUN"
                config.hydra.runtime.output_dir = os.path.abspath(config.hydra.run.dir)
        with hydra_config(config):
            with translate_errors(line):
                options = options_of(line, config)
            job = Job.of(config.hydra)
            make_folder(job.folder)
            with _removed_if_refused(job.folder):
                return execute(line.command.get("run"), options, job)


def execute(run: Callable[[Any], Any], options: Any, job: Job) -> Any:
    """Run a command with its options, as a job."""
    _enable_garbage_collector()
    token = current_job.set(job)
    try:
        return run(options)
    finally:
        current_job.reset(token)


def _enable_garbage_collector() -> None:
    """Turn the garbage collector on, which `charrnn.__main__` has turned off for the imports."""
    if not gc.isenabled():
        # the imported objects become the oldest generation, which is seldom searched
        gc.freeze()
        gc.unfreeze()
        gc.enable()


@dataclass
class Task:
    """What hydra.main runs: call it with a composed config.

    Attributes:
        jobs: how many the sweep has, where that is known.
        failed: the jobs of a sweep that failed in this process, each with its reason.
        error: with which the last job failed here.
        argv, full_error: as they were before Hydra's.
    """

    line: Line
    jobs: int | None = None
    failed: list[str] = field(default_factory=list)
    error: BaseException | None = None
    argv: list[str] = field(default_factory=lambda: sys.argv)
    full_error: str | None = field(default_factory=lambda: os.environ.get("HYDRA_FULL_ERROR"))

    def __call__(self, config: DictConfig) -> Any:
        with _program(self.argv, self.full_error):
            job = Job.of(HydraConfig.get())
            if job.number is not None and not self.line.multirun:
                raise InputError("hydra.mode: several jobs are run by -m on the command line")
            try:
                with _removed_if_refused(job.folder):
                    with translate_errors(self.line):
                        options = options_of(self.line, config)
                    if job.number is not None and self.line.command.get("MAKES_FOLDER"):
                        of = f", {job.number + 1} of {self.jobs}" if self.jobs else ""
                        say(f"sweep: job {job.number}{of} ({shorten_numbers(job.differs)})")
                    result = execute(self.line.command.get("run"), options, job)
                # of a training, what a sweeper minimises
                return getattr(result, "best_loss", result)
            except Interrupted as error:
                name = f"{job.name}: " if job.name else ""
                raise Interrupted(f"{name}{error}", error.signum) from None
            except Exception as error:
                self.error = error
                if job.number is not None:
                    self.failed.append(f"{job.name}: {exit_codes.message(error)}")
                    exit_codes.end(f"charrnn {self.line.command.name}: {job.name}", error)
                raise


def run_hydra_main(line: Line, task: Any, *more: str) -> None:
    """Let hydra.main do what the flags say; raises what a job raised, or the line that says why."""
    words = [*line.hydras_flags(), *line.words, *more]
    root, holder = logging.root, GlobalHydra.instance()
    handlers, level, running = root.handlers[:], root.level, holder.hydra
    holder.clear()
    as_program = hydra.main(str(plugins.CONF), line.main_config, version_base="1.3")
    try:
        with (
            _program(["charrnn", *words], "1"),
            contextlib.redirect_stderr(_WithoutHydrasLine(sys.stderr)),
        ):
            as_program(task)()
    except Exception as error:
        if error is getattr(task, "error", None):
            raise
        with translate_errors(line):
            raise
    finally:
        holder.hydra, root.handlers[:] = running, handlers
        root.setLevel(level)


@contextlib.contextmanager
def translate_errors(line: Line) -> Iterator[None]:
    """Turn an error in the overrides of a line into one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError | RunError) and not isinstance(error, UnknownOption):
            raise
        raise translate_error(error, line) from error


@contextlib.contextmanager
def initialize_hydra(line: Line) -> Iterator[None]:
    """Let Hydra's compose API look into conf/, whoever uses Hydra around this."""
    holder = GlobalHydra.instance()
    running = holder.hydra
    holder.clear()
    try:
        with hydra.initialize_config_dir(
            line.main_folder, job_name=line.command.name, version_base="1.3"
        ):
            yield
    finally:
        GlobalHydra.instance().hydra = running


@contextlib.contextmanager
def hydra_config(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` be read from this config."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = before


def options_of(line: Line, config: DictConfig) -> Any:
    """Build the command's options from a composed config, which checks every value.

    Raises:
        InputError: names an option that is missing, unknown or out of its range.
    """
    name = line.command.name
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    schema = plugins.make_options_class(name)
    known = {option.name for option in fields(schema)}
    values: Any = OmegaConf.to_container(config, resolve=True)
    missing = OmegaConf.missing_keys(config)
    if missing and values.keys() <= known:  # a misspelt name is told first: it may be that one
        key = min(missing)
        option = conf.page(name).options.get(key, conf.Option("", "a value"))
        raise InputError(f"{key} is required: {key}=VALUE, {option.explanation}")
    return build(schema, values)


@contextlib.contextmanager
def _removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove a run's folder, and those above it, as far as they are empty when it is refused."""
    try:
        yield
    except InputError:
        with contextlib.suppress(OSError):
            while not Path.cwd().is_relative_to(folder):
                folder.rmdir()
                folder = folder.parent
        raise


@contextlib.contextmanager
def _program(argv: list[str], full_error: str | None) -> Iterator[None]:
    """Let sys.argv and HYDRA_FULL_ERROR be these: Hydra reads the one, and raises by the other."""

    def put(argv: list[str], full_error: str | None) -> None:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR", None)
        os.environ.update({} if full_error is None else {"HYDRA_FULL_ERROR": full_error})

    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    put(argv, full_error)
    try:
        yield
    finally:
        put(*before)


class _WithoutHydrasLine:
    """Standard error without the line that Hydra writes of a job that failed; ours says more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if not text.startswith("Error executing job with overrides:"):
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _show(line: Line) -> None:
    """Let Hydra print what the flags ask for, in what the terminal can show."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        run_hydra_main(line, Task(line))
    print(shown.getvalue().rstrip("\n"))
