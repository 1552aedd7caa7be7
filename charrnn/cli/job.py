"""What Hydra runs: one job, in this process or in one that a launcher starts.

Standard error of a job may be another machine's. So each job of a sweep that fails also leaves
its line in a file of the sweep's folder, which goes again when the sweep ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.cli import conf, config_files, exit_codes
from charrnn.cli.checked_options import build, having
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.options.ranges import PATH
from charrnn.options.training import TrainOptions
from charrnn.runs.recorded_config import Choice
from charrnn.say import short_numbers


@dataclass(frozen=True)
class Request:
    """What `charrnn train` is asked for.

    Attributes:
        config: complete and checked; without Hydra's own part.
        given: the options that today's command line sets, dotted, itself or by an experiment;
            a choice counts as its group's name.
        folder: of a new run, absolute; Hydra made it.
        choices: group -> the name or names that are chosen in it.
        set_by_recipes: experiment, debug or sweep -> the options that its choice sets.
        overrides: the overrides in Hydra's grammar, without ``hydra.*``.
        hydra: Hydra's own part of the config, unresolved.
        flags: the words of the command line that say where YAML files lie.
        job_id: Hydra's ``hydra.job.id``, of one job of a sweep; "" outside a sweep.
    """

    config: TrainOptions
    given: tuple[str, ...]
    folder: Path
    choices: Mapping[str, Choice] = field(default_factory=dict)
    set_by_recipes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    hydra: dict[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    job_id: str = ""


class WithoutHydrasLine:
    """Standard error without the line that Hydra writes of a job that failed; ours says more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if not text.startswith("Error executing job with overrides:"):
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @staticmethod
    def undone(stream: Any) -> Any:
        """The stream itself, which a job writes to."""
        return stream._stream if isinstance(stream, WithoutHydrasLine) else stream


@dataclass
class Job:
    """The task function: call it with a composed config.

    Attributes:
        run: the command itself.
        flags: those of the command line that say where YAML files lie.
        options: of a single job, built and checked already; those of a sweep's are built as
            each begins.
        folder: of the last job that began in this process.
        error: with which the last job that failed here did.
        begun: how many jobs did so in this process.
        since: the time at which the first could begin.
        jobs: how many the sweep has, if that is known.
        goes_on: whether these are the jobs of a sweep that was begun before.
        failures: the file in which a sweep's jobs leave why they failed.
        models: what a sweep knew of the models that its jobs begin with (`with_real_paths`).
    """

    command: str
    run: Callable[[Any], Any]
    flags: tuple[str, ...] = ()
    options: Any = field(default=None, repr=False)
    jobs: int | None = None
    goes_on: bool = False
    begun: int = 0
    folder: Path | None = None
    failures: Path | None = None
    error: BaseException | None = None
    models: dict[str, str] = field(default_factory=dict, repr=False)
    since: float = field(default_factory=time.monotonic)
    value: Any = field(default=None, repr=False)

    def __call__(self, config: DictConfig) -> Any:
        """Build the options and run the command; what it returns is the job's result."""
        with contextlib.redirect_stderr(WithoutHydrasLine.undone(sys.stderr)):
            hydra: Any = HydraConfig.get()
            in_sweep = hydra.mode == RunMode.MULTIRUN
            self.begun += 1
            self.folder = Path(hydra.runtime.output_dir)
            if in_sweep and self.command == "train":
                self._tell(hydra)
            try:
                self.value = self._run(config, hydra, in_sweep)
                # a result says itself what of it a sweeper minimises
                return getattr(self.value, "objective", self.value)
            except (Interrupted, BrokenPipeError) as error:
                if not in_sweep:
                    self.error = error
                    raise
                # these end a whole sweep
                label = self._label(hydra)
                raise SystemExit(exit_codes.end(label, error)) from None
            except Exception as error:
                if isinstance(stop := error.__context__, Interrupted):
                    # a launcher that was asked to start the job again does not
                    error = RunError(f"{stop} ({error})")
                self.error = error
                if in_sweep:
                    note_failure(self.failures, f"{_name(hydra)}: {exit_codes.message(error)}")
                    exit_codes.end(self._label(hydra), error)
                raise error

    def _run(self, config: DictConfig, hydra: DictConfig, in_sweep: bool) -> Any:
        options = self.options
        if options is None:
            options = options_of(self.command, config, hydra)
        if self.command != "train":
            overrides = " ".join(_plain(hydra.overrides)["task"])
            with as_job(Swept(hydra.job.num, overrides) if in_sweep else None):
                return self.run(options)
        folder = Path(hydra.runtime.output_dir)
        if in_sweep:
            options = with_real_paths(options, self.models)
        return self.run(request_of(options, hydra, folder, self.flags))

    def _tell(self, hydra: DictConfig) -> None:
        """The line of the sweep, over those of the job."""
        from charrnn.say import say
        from charrnn.sweeps.leaderboard import progress

        assert self.folder is not None
        mean = (time.monotonic() - self.since) / (self.begun - 1) if self.begun > 1 else None
        say(progress(self.folder, self.jobs, mean))

    def _label(self, hydra: DictConfig) -> str:
        """How this job's line on standard error begins."""
        return f"charrnn {self.command}: {_name(hydra)}"


def _name(hydra: DictConfig) -> str:
    words = config_files.todays(_plain(hydra.overrides)["task"])
    return f"job {hydra.job.num} ({' '.join(words)})"


def options_of(command: str, config: DictConfig, hydra: DictConfig) -> Any:
    """Build the command's options from a composed config, which checks every value.

    Args:
        config: with or without Hydra's own part, which is left out.

    Raises:
        InputError: names an option that is missing, unknown or out of its range.
    """
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    schema = plugins.options_of(command)
    known = {field.name for field in fields(schema)}
    values: Any = OmegaConf.to_container(config, resolve=True)
    written = f"{_plain(config)} {_plain(hydra)}"
    for name in [name for name in values if name not in known]:
        # what interpolations alone are made of: `charrnn sample +n=3 length=${n} top_k=${n}`
        if re.search(rf"\$\{{\s*{re.escape(str(name))}\b", written):
            del values[name]
    missing = OmegaConf.missing_keys(config)
    if missing and values.keys() <= known:  # a misspelt name is told first: it may be that one
        name = min(missing)
        option = conf.page(command).options.get(name, conf.Option("", "a value"))
        raise InputError(f"{name} is required: {name}=VALUE, {option.explanation}")
    if hydra.job.get("chdir"):
        make_absolute(command, values, hydra.runtime.cwd)
    return build(schema, values)


def make_absolute(command: str, values: dict[str, Any], folder: str) -> None:
    """Make paths absolute, for a job that Hydra runs in its own folder."""
    for name in having(command, PATH):
        *parents, last = name.split(".")
        node: Any = values
        for parent in parents:
            node = node.get(parent) or {}
        value = node.get(last)
        if isinstance(value, list):
            node[last] = [os.path.join(folder, path) for path in value]
        elif isinstance(value, str) and value and value not in ("-", "auto"):
            node[last] = os.path.join(folder, value)


def with_real_paths(config: TrainOptions, known: dict[str, str] | None = None) -> TrainOptions:
    """The config with the real path of the model that the run starts from.

    outputs/latest will be another run once this one has begun.

    Args:
        known: path -> real path, of before; paths that are not among them are added.
    """
    known = {} if known is None else known

    def real(path: str) -> str:
        return known.setdefault(os.path.abspath(path), os.path.realpath(path))

    start = config.init_from
    return config if start is None else replace(config, init_from=real(start))


def request_of(
    config: TrainOptions, hydra: DictConfig, folder: Path, flags: tuple[str, ...]
) -> Request:
    """What `charrnn train` is asked for, of the options that were built."""
    overrides, recipes = _plain(hydra.overrides)["task"], config_files.set_by_recipes(hydra)
    keys = [config_files.key_of(word) for word in config_files.todays(overrides)]
    keys += [key for options in recipes.values() for key in options]
    return Request(
        config=config,
        given=tuple(dict.fromkeys(key for key in keys if key not in conf.WITHOUT_A_NODE)),
        folder=folder,
        choices=config_files.choices(hydra),
        set_by_recipes=recipes,
        overrides=tuple(overrides),
        hydra=_plain(hydra),
        flags=flags,
        job_id=str(hydra.job.id) if hydra.mode == RunMode.MULTIRUN else "",
    )


def _plain(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=False, enum_to_str=True)


def note_failure(path: Path | None, line: str) -> None:
    """Leave a line for the sweep, in the job that failed."""
    if path is not None:
        with contextlib.suppress(OSError), open(path, "a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")


def noted_failures(path: Path) -> list[str]:
    """The lines that the jobs left; the file is removed."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        path.unlink()
    except OSError:
        return []
    return [json.loads(line) for line in lines]


_LONGEST = 120  # of a folder's name; file systems take 255 bytes


class Swept(NamedTuple):
    """One job of a sweep: its number, from 0, and the overrides that make it."""

    number: int
    overrides: str


_current: ContextVar[Swept | None] = ContextVar("charrnn_job", default=None)


@contextlib.contextmanager
def as_job(swept: Swept | None) -> Iterator[None]:
    """Let `current_job` answer this while a command runs."""
    token = _current.set(swept)
    try:
        yield
    finally:
        _current.reset(token)


def current_job() -> Swept | None:
    """The job that runs now; None outside a sweep."""
    return _current.get()


def folder_name(number: int, overrides: str) -> str:
    """The folder of a job: its number, which no other has, and what it is called by.

    Args:
        overrides: those that differ between the jobs, as Hydra joins them.
    """
    bare = re.sub(r"[\\'\"\[\]{}]", "", short_numbers(overrides))
    safe = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", bare)
    return "_".join([str(number), *[safe[:_LONGEST]] * bool(safe)])


# for conf/; every process that runs a job imports this module
OmegaConf.register_new_resolver("charrnn.job_folder", folder_name, replace=True)
