"""Run a command: compose its config with Hydra, check its options, and create its folder."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import exit_codes, help_page
from charrnn.cli.checked_options import UnknownOption, build
from charrnn.cli.command_line import Line, Override, quote
from charrnn.cli.hydra_errors import translate_error
from charrnn.cli.workers import end_with_command
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.files import OUTPUTS, make_folder
from charrnn.say import say, shorten_numbers

RECORDED_CONFIG = "charrnn_recorded_run"  # the name in Hydra's ConfigStore of a run's record
_ONLY_ON_COMMAND_LINE = "-m, --cfg and similar flags work only on the command line"


@dataclass(frozen=True)
class Job:
    """A run of a command, or a job of a sweep.

    Attributes:
        number: the number of the job, from 0; None outside a sweep.
        swept: the overrides that differ between the jobs of the sweep, in a line.
        folder: the absolute path of the run's folder.
        overrides: the overrides in Hydra's grammar, without ``hydra.*``.
        hydra: the node `hydra` of the config, unresolved.
        config: the composed config without it, unresolved.
    """

    number: int | None = None
    swept: str = ""
    folder: Path = Path()
    overrides: tuple[str, ...] = ()
    hydra: Mapping[str, Any] = field(default_factory=dict)
    config: DictConfig = field(default_factory=lambda: DictConfig({}))

    @classmethod
    def from_config(cls, hydra: Any, config: DictConfig) -> Job:
        """Return the job of a config, and of its node `hydra`."""
        values: Any = OmegaConf.to_container(hydra, resolve=False, enum_to_str=True)
        return cls(
            number=int(hydra.job.num) if values["mode"] == "MULTIRUN" else None,
            swept=str(values["job"]["override_dirname"]).replace(",", " "),
            folder=Path(hydra.runtime.output_dir),
            overrides=tuple(values["overrides"]["task"]),
            hydra=values,
            config=_remove_hydra(config),
        )

    @property
    def given(self) -> tuple[str, ...]:
        """The dotted options that the overrides set."""
        return tuple(dict.fromkeys(Override.from_word(word).key for word in self.overrides))

    @property
    def swept_options(self) -> tuple[str, ...]:
        """The given options that differ between the jobs of the sweep."""
        excluded = self.hydra.get("job", {}).get("config", {}).get("override_dirname", {})
        equal = {Override.from_word(str(name)).key for name in excluded.get("exclude_keys", ())}
        return tuple(n for n in self.given if n not in equal) if self.number is not None else ()

    @property
    def name(self) -> str:
        """The job's number and swept overrides; "" outside a sweep."""
        return "" if self.number is None else f"job {self.number} ({self.swept})"


current_job: ContextVar[Job] = ContextVar("charrnn_job", default=Job())  # noqa: B039  (frozen)


def call(command: plugins.Command, words: list[str]) -> Any:
    """Run a command from Python, and return its result. Raise InputError or RunError."""
    line = Line.from_words(command, words)
    if line.multirun or line.prints_only:
        raise InputError(_ONLY_ON_COMMAND_LINE)
    return call_composed(line)


def call_composed(line: Line) -> Any:
    """Run a command once without hydra.main, which composes the config twice."""
    with initialize_hydra(line):
        with translate_errors(line):
            config = compose(line)
            if config.hydra.mode == RunMode.MULTIRUN:
                raise InputError(_ONLY_ON_COMMAND_LINE)
            with read_write(config.hydra):
                config.hydra.mode = RunMode.RUN
        with set_hydra_config(config):
            job = Job.from_config(config.hydra, config)
            task = Task(line, job.folder)
            make_folder(job.folder)
            return task.run(job)


def enable_garbage_collector() -> None:
    """Turn the garbage collector on again after the imports (see `charrnn.__main__`)."""
    if not gc.isenabled():
        # This moves the imported objects to the oldest generation, which is rarely searched.
        gc.freeze()
        gc.unfreeze()
        gc.enable()


@dataclass
class Task:
    """The function that hydra.main calls with the composed config of each job.

    Attributes:
        folder: the folder of the run or of the sweep, which Hydra makes.
        num_jobs: the number of jobs of the sweep, if it is known.
        failures: the names and errors of the jobs that failed in this process.
        error: the last error in this process.
        argv, full_error: sys.argv and HYDRA_FULL_ERROR before Hydra starts.
        pid: the process of the command.
        existing: `folder`, or the nearest one above it that exists before Hydra makes `folder`.
    """

    line: Line
    folder: Path
    num_jobs: int | None = None
    failures: list[str] = field(default_factory=list)
    error: BaseException | None = None
    argv: list[str] = field(default_factory=lambda: sys.argv)
    full_error: str = field(default_factory=lambda: os.environ.get("HYDRA_FULL_ERROR", "0"))
    pid: int = field(default_factory=os.getpid)
    existing: Path = field(init=False)

    def __post_init__(self) -> None:
        folder = self.folder.absolute()
        self.existing = next(p for p in (folder, *folder.parents) if os.path.exists(p))

    def __call__(self, config: DictConfig) -> Any:
        with _set_hydra_globals(self.argv, self.full_error), end_with_command(self.pid):
            job = Job.from_config(HydraConfig.get(), config)
            try:
                result = self.run(job)
                # A sweeper minimizes the objective of a training.
                return getattr(result, "objective", result)
            except Interrupted as error:
                name = f"{job.name}: " if job.name else ""
                raise Interrupted(f"{name}{error}", error.signum) from None
            except Exception as error:
                self.error = error
                if job.number is not None:
                    self.failures.append(f"{job.name}: {exit_codes.format_error(error)}")
                    exit_codes.end(f"charrnn {self.line.command.name}: {job.name}", error)
                raise

    def run(self, job: Job) -> Any:
        """Check the options of a job, run the command with them, and return its result."""
        with _remove_if_refused(job.folder, self.existing):
            with translate_errors(self.line):
                options = make_options(self.line, job.config)
            if job.number is not None and self.line.command.get("MAKES_FOLDER"):
                of = f", {job.number + 1} of {self.num_jobs}" if self.num_jobs else ""
                say(f"sweep: job {job.number}{of} ({shorten_numbers(job.swept)})")
            enable_garbage_collector()
            token = current_job.set(job)
            try:
                return self.line.command.get("run")(options)
            finally:
                current_job.reset(token)


def run_hydra_main(line: Line, task: Task, *more: str) -> None:
    """Call hydra.main with a line. Raise a job's error unchanged, and translate Hydra's errors."""
    words = [*line.to_hydra_flags(), *line.words, *more]
    root, holder = logging.root, GlobalHydra.instance()
    handlers, level, running = root.handlers[:], root.level, holder.hydra
    holder.clear()
    hydra_main = hydra.main(str(plugins.CONF), line.main_config, version_base="1.3")
    try:
        with (
            _set_hydra_globals(["charrnn", *words], "1"),
            contextlib.redirect_stderr(_StreamWithoutHydraError(sys.stderr)),
        ):
            hydra_main(task)()
    except Exception as error:
        if error is task.error:
            raise
        with translate_errors(line):
            raise
    finally:
        holder.hydra, root.handlers[:] = running, handlers
        root.setLevel(level)


@contextlib.contextmanager
def translate_errors(line: Line) -> Iterator[None]:
    """Raise InputError or RunError for an error in the overrides of a line."""
    try:
        yield
    except Exception as error:
        explained = error
        if not isinstance(error, InputError | RunError) or isinstance(error, UnknownOption):
            explained = translate_error(error, line)
        if line.main_config == RECORDED_CONFIG and isinstance(explained, InputError):
            option = str(explained).partition(":")[0].partition("=")[0]
            if not any(override.key == option for override in line.overrides):
                source = line.find_last("resume").text
                explained = InputError(f"{source}: its recorded {explained}")
        if explained is error:
            raise
        raise explained from error


@contextlib.contextmanager
def initialize_hydra(line: Line) -> Iterator[None]:
    """Initialize Hydra's compose API for conf/, and restore the caller's Hydra afterwards."""
    if line.flags.config_dir and line.main_folder == str(plugins.CONF):
        _require_new_names(Path(line.flags.config_dir).absolute())
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


def _require_new_names(config_dir: Path) -> None:
    """Raise InputError if a file has the name of one in conf/, which Hydra would take instead."""
    for path in plugins.CONF.rglob("*.yaml"):
        mine = config_dir / path.relative_to(plugins.CONF)
        if mine.is_file() and not mine.samefile(path):
            raise InputError(f"{mine}: charrnn's file of this name would be taken; rename yours")


@contextlib.contextmanager
def set_hydra_config(config: DictConfig) -> Iterator[None]:
    """Resolve ``${hydra:...}`` from this config."""
    instance = HydraConfig.instance()
    previous = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = previous


def compose(line: Line) -> DictConfig:
    """Return the config of one run, with its folder. Call this inside `initialize_hydra`."""
    words = [*_make_searchpath(line), *line.words]
    config = hydra.compose(line.main_config, words, return_hydra_config=True)
    if config.hydra.job.chdir:
        raise InputError(
            "hydra.job.chdir=true: charrnn does not change the working directory; leave this out"
        )
    folder = get_folder(config, "hydra.run.dir")
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.runtime.output_dir = str(folder)
    return config


def _make_searchpath(line: Line) -> list[str]:
    """Return an override for --config-dir, which Hydra's compose API lacks."""
    if not line.flags.config_dir:
        return []
    folders = (plugins.CONF, os.path.abspath(line.flags.config_dir))
    urls = [f"file://{folder}" for folder in folders if str(folder) != line.main_folder]
    given = line.find_last("hydra.searchpath").value
    if given is None and line.main_folder != str(plugins.CONF):
        main = OmegaConf.load(Path(line.main_folder, f"{line.main_config}.yaml"))
        urls += OmegaConf.select(main, "hydra.searchpath") or []
    more = [] if given is None else [given.strip("[]")]
    return [f"hydra.searchpath=[{','.join([*map(quote, urls), *more])}]"]


def get_folder(config: DictConfig, name: str) -> Path:
    """Return hydra.run.dir or hydra.sweep.dir. Raise InputError if it is not set."""
    with set_hydra_config(config):
        folder = OmegaConf.select(config, name)
    if not folder:
        raise InputError(f"{name}=: takes a folder")
    return Path(folder).absolute()


def _remove_hydra(config: DictConfig) -> DictConfig:
    """Return a copy of a composed config without its node `hydra`."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def make_options(line: Line, config: DictConfig) -> Any:
    """Check a composed config, and build the command's options from it."""
    name = line.command.name
    config = _remove_hydra(config)
    schema = line.command.get("OPTIONS")
    known = {option.name for option in fields(schema)}
    values: Any = OmegaConf.to_container(config, resolve=True)
    missing = OmegaConf.missing_keys(config)
    # An unknown option is reported first: it may be the missing option, misspelled.
    if missing and values.keys() <= known:
        key = min(missing)
        option = help_page.read_page(name).options.get(key, help_page.Option("", "a value"))
        raise InputError(f"{key} is required: {key}=VALUE, {option.explanation}")
    return build(schema, values)


@contextlib.contextmanager
def _remove_if_refused(folder: Path, existing: Path) -> Iterator[None]:
    """Remove a run's folder, and parents below `existing`, if it is empty after an error."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            while existing in folder.parents:
                folder.rmdir()
                folder = folder.parent
        raise


@contextlib.contextmanager
def _set_hydra_globals(argv: list[str], full_error: str) -> Iterator[None]:
    """Set sys.argv, which Hydra parses, and HYDRA_FULL_ERROR; Hydra raises errors if it is 1."""
    previous_argv, previous = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = argv, full_error
    try:
        yield
    finally:
        sys.argv = previous_argv
        del os.environ["HYDRA_FULL_ERROR"]
        if previous is not None:
            os.environ["HYDRA_FULL_ERROR"] = previous


class _StreamWithoutHydraError:
    """Standard error without Hydra's line about a failed job; charrnn prints a better one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if not text.startswith("Error executing job with overrides:"):
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_hydra_output(line: Line) -> None:
    """Print what the flags ask Hydra for, with the error handler of standard output."""
    output = io.StringIO()
    if line.flags.hydra_help:  # for which Hydra composes no config
        line = replace(line, overrides=())
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        run_hydra_main(line, Task(line, OUTPUTS))
    print(output.getvalue().rstrip("\n"))
