"""From the words of a command line into the command.

`main` is the command line's door: Hydra composes, makes the folder, and runs the job or the sweep.
`call` is Python's: it composes one run. Both lead into `execute`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import conf, exit_codes
from charrnn.cli.checked_options import build, having
from charrnn.cli.explained import explained
from charrnn.cli.flags import Flags, parse_flags
from charrnn.cli.job import Job, as_current, job_of
from charrnn.cli.literal import literal, quoted
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.options.ranges import PATH, require_path
from charrnn.plugins import Command


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        words: the overrides in Hydra's grammar, the texts among them quoted.
        main_config: the name of that which they are composed over.
        multirun: whether values may be several.
    """

    command: Command
    flags: Flags
    words: list[str]
    main_config: str
    multirun: bool

    @property
    def is_simple(self) -> bool:
        """Whether Hydra has nothing to do but to compose."""
        asks = any(word.lstrip("+~").startswith("hydra") for word in self.words)
        return self.flags == Flags() and not self.command.get("MAKES_FOLDER") and not asks

    @classmethod
    def of(cls, command: Command, words: list[str]) -> Line:
        """Read the words that follow a command; what they are composed over is put in its place."""
        flags, words = parse_flags(words)
        multirun = flags.multirun or any(w.startswith(("sweep=", "hydra.mode=M")) for w in words)
        if prepare := command.get("prepare_overrides"):
            words = prepare(words, multirun)
        for word in words:
            _require_folder(word)
        words, name = literal(words, command.name, multirun), command.name
        _store(command)
        if over := command.get("main_config"):
            name, words = over(words)
        return cls(command, flags, words, flags.config_name or name, multirun)

    @property
    def main_folder(self) -> str:
        """Where the main config lies: Hydra reads it before it looks into hydra.searchpath."""
        own = Path(self.flags.config_dir or os.devnull).absolute()
        return str(own if (own / f"{self.main_config}.yaml").is_file() else plugins.CONF)

    def compose(self, words: list[str]) -> DictConfig:
        """Compose some words as one run; inside of `composing`."""
        if self.flags.config_dir:
            places = (plugins.CONF, os.path.abspath(self.flags.config_dir))
            further = [quoted(f"file://{f}") for f in places if str(f) != self.main_folder]
            words = [*words, f"hydra.searchpath=[{','.join(further)}]"]
        return hydra.compose(self.main_config, words, return_hydra_config=True)


def main(command: Command, words: list[str], sweep: Callable[[Line], None]) -> int:
    """Run a command with the words that follow it, and return the exit code.

    Args:
        sweep: runs a line of several jobs (`charrnn.cli.sweep.run`).
    """
    if (follow := command.get("follow")) and (code := follow()) is not None:
        return int(code)
    line = Line.of(command, words)
    if line.flags.show_only:
        _show(line)
    elif line.multirun:
        sweep(line)
    elif line.is_simple:
        _call(line)  # hydra.main composes twice, which is long beside a short sample
    else:
        with explaining(line):
            standing = _standing(line)
        by_hydra(line, Task(line, standing))
    return 0


def call(command: Command, words: list[str], run: Callable[[Any], Any] | None = None) -> Any:
    """Run a command, or something else with its options, from Python; what it returns.

    Raises:
        InputError, RunError: as the command does, or the words do not fit.
    """
    line = Line.of(command, words)
    if line.multirun or line.flags.show_only:
        raise InputError("-m, --cfg and the like are for the command line; here is one run")
    return _call(line, run)


def _call(line: Line, run: Callable[[Any], Any] | None = None) -> Any:
    standing = _standing(line)
    with composing(line):
        with explaining(line):
            config = line.compose(line.words)
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.mode = "RUN"
                config.hydra.runtime.output_dir = os.path.abspath(config.hydra.run.dir)
        with hydra_config(config):
            with explaining(line):
                options = options_of(line, config)
            job = job_of(config.hydra)
            job.folder.mkdir(parents=True, exist_ok=True)
            with _taking_back(job.folder, standing):
                return execute(run or line.command.get("run"), options, job)


def execute(run: Callable[[Any], Any], options: Any, job: Job) -> Any:
    """Run a command with its options, as a job."""
    with as_current(job):
        return run(options)


@dataclass
class Task:
    """What hydra.main runs: call it with a composed config.

    Attributes:
        standing: of a single run's folder and those above it the ones that are there already.
        jobs: how many the sweep has, where that is known.
        failed: the jobs of a sweep that failed in this process, each with its reason.
        error: with which the last job failed here.
        argv, full_error: as they were before Hydra's.
    """

    line: Line
    standing: frozenset[Path] = frozenset()
    jobs: int | None = None
    begun: int = 0
    since: float = field(default_factory=time.monotonic)
    failed: list[str] = field(default_factory=list)
    error: BaseException | None = None
    argv: list[str] = field(default_factory=lambda: sys.argv)
    full_error: str | None = field(default_factory=lambda: os.environ.get("HYDRA_FULL_ERROR"))

    def __call__(self, config: DictConfig) -> Any:
        with (
            _program(self.argv, self.full_error),
            contextlib.redirect_stderr(_WithoutHydrasLine.undone(sys.stderr)),
        ):
            job = job_of(HydraConfig.get())
            self.begun += 1
            try:
                with _taking_back(job.folder, self.standing):
                    with explaining(self.line):
                        options = options_of(self.line, config)
                    if job.number is not None and (tell := self.line.command.get("tell_job")):
                        seconds = (time.monotonic() - self.since) / max(self.begun - 1, 1)
                        tell(job.folder, self.jobs, seconds if self.begun > 1 else None)
                    result = execute(self.line.command.get("run"), options, job)
                # a result says itself what of it a sweeper minimises
                return getattr(result, "objective", result)
            except Interrupted as error:
                name = f"{job.name}: " if job.name else ""
                raise Interrupted(f"{name}{error}", error.signum) from None
            except Exception as error:
                self.error = error
                if job.number is not None:
                    self.failed.append(f"{job.name}: {exit_codes.message(error)}")
                    exit_codes.end(f"charrnn {self.line.command.name}: {job.name}", error)
                raise


def by_hydra(line: Line, task: Any, *more: str) -> None:
    """Let hydra.main do what the flags say; raises what a job raised, or the line that says why."""
    words = [*line.flags.words(), *line.words, *more]
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
        if isinstance(error, InputError | RunError) or error is getattr(task, "error", None):
            raise
        raise explained(error, line.command.name, line.words, line.multirun) from error
    finally:
        holder.hydra, root.handlers[:] = running, handlers
        root.setLevel(level)


@contextlib.contextmanager
def explaining(line: Line, words: list[str] | None = None) -> Iterator[None]:
    """Turn what is raised while words are composed and checked into one line.

    Args:
        words: of one job of a sweep, instead of the line's own.
    """
    try:
        yield
    except Exception as error:
        multirun = line.multirun and words is None
        raise explained(error, line.command.name, words or line.words, multirun) from error


@contextlib.contextmanager
def composing(line: Line) -> Iterator[None]:
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
    name, hydra_part = line.command.name, HydraConfig.get()
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    schema = plugins.options_of(name)
    known = {option.name for option in fields(schema)}
    values: Any = OmegaConf.to_container(config, resolve=True)
    for key in [key for key in values if key not in known]:
        # what interpolations alone are made of: `charrnn sample +n=3 length=${n} top_k=${n}`
        if re.search(rf"\$\{{\s*{re.escape(str(key))}\b", " ".join(line.words)):
            del values[key]
    missing = OmegaConf.missing_keys(config)
    if missing and values.keys() <= known:  # a misspelt name is told first: it may be that one
        key = min(missing)
        option = conf.page(name).options.get(key, conf.Option("", "a value"))
        raise InputError(f"{key} is required: {key}=VALUE, {option.explanation}")
    if hydra_part.job.chdir:
        _make_absolute(name, values, hydra_part.runtime.cwd)
    return build(schema, values)


def _make_absolute(command: str, values: dict[str, Any], folder: str) -> None:
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


def _require_folder(word: str) -> None:
    """Refuse a folder that Hydra cannot make."""
    name, _, value = word.partition("=")
    if name not in ("hydra.run.dir", "hydra.sweep.dir"):
        return
    require_path(name, value)
    if value == "":
        raise InputError(f"{word}: takes a folder")
    if "${" in value and value[0] not in "'\"":
        raise InputError(
            f"{word}: Hydra cannot make a folder with ${{ in its path; for Hydra's own ${{...}} "
            f"put the value in quotes: {name}=\"'...'\""
        )


def _standing(line: Line) -> frozenset[Path]:
    """Of the folder of a run and those above it the ones that are there already."""
    named = [w.partition("=")[2].strip("'") for w in line.words if w.startswith("hydra.run.dir=")]
    folder = Path(["outputs/train", *named][-1]).absolute()
    return frozenset(path for path in (folder, *folder.parents) if path.exists())


@contextlib.contextmanager
def _taking_back(folder: Path, standing: frozenset[Path]) -> Iterator[None]:
    """Remove what was made of a run's folder when the run is refused, if it is empty."""
    try:
        yield
    except InputError:
        with contextlib.suppress(OSError):
            for path in (folder, *folder.parents):
                if path in standing or not standing:
                    break
                path.rmdir()
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

    @staticmethod
    def undone(stream: Any) -> Any:
        """The stream itself, which a job writes to."""
        return stream._stream if isinstance(stream, _WithoutHydrasLine) else stream


def _show(line: Line) -> None:
    """Let Hydra print what the flags ask for, in what the terminal can show."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        by_hydra(line, Task(line))
    encoding = sys.stdout.encoding or "utf-8"
    text = shown.getvalue().rstrip("\n")
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _store(command: Command) -> None:
    """Let Hydra find the YAML files that stand outside of conf/: an extra's, another package's."""
    store = ConfigStore.instance().store
    if paths := plugins.added_options(command.name):
        added = OmegaConf.merge(*map(OmegaConf.load, paths))
        store(command.name, added, group="added_by_extras")
    for folder in plugins.conf_folders(command.name):
        for path in folder.rglob("*.yaml") if folder != plugins.CONF else ():
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
