"""Run a command with Hydra: literal texts are quoted, and everything else is Hydra's.

hydra.main composes conf/, makes folders, answers --cfg and --info, and runs sweeps (-m) with any
launcher. Each job checks its options itself, so a sweep continues when one of its jobs is refused.
Errors are raised to `charrnn.__main__`, which prints each as one line.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from charrnn import plugins
from charrnn.cli import current_job, exit_codes
from charrnn.cli.checked_options import build, require_all
from charrnn.cli.flags import split_flags
from charrnn.cli.hydra_errors import translate_errors
from charrnn.cli.overrides import (
    MULTIRUN,
    CommandLine,
    get_key,
    is_multirun,
    parse,
    quote,
    quote_literals,
    show,
)
from charrnn.errors import InputError, RunError, explain, to_one_line, walk_causes
from charrnn.files import shorten_path


class SweepFolder(Callback):
    """Keeps the path of a sweep's folder. Hydra makes it, as conf/base/run_folder.yaml says."""

    path: Path | None = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        SweepFolder.path = Path(config.hydra.sweep.dir).absolute()


def run(command: plugins.Command, typed: Sequence[str]) -> None:
    """Run a command line: one job, or the jobs of a sweep, of which each prints its error."""
    line = read_line(command, typed)
    if not (command.get("MAKES_FOLDER") or line.flags or is_multirun(line.words)):
        _compose_and_run(line)  # A short sample starts 50 ms sooner: hydra.main composes twice.
        return
    failures: list[Exception] = []  # the error of a command that is no sweep, or none
    SweepFolder.path = None

    def run_job(config: DictConfig) -> Any:
        try:
            result = _run_job(line, config)
        except Exception as error:
            # The error may be that the name of this folder cannot be resolved.
            with contextlib.suppress(OmegaConfBaseException):
                _remove_empty_folders(current_job.get_folder())
            if not (name := current_job.get_name()):  # no sweep
                failures.append(error)  # If the job raised it, Hydra would print more lines.
                return None
            exit_codes.end(f"charrnn {command.name}: {name}", error)
            # An attribute, because a worker process may send the error to this one.
            error.is_told = True  # type: ignore[attr-defined]
            raise
        return getattr(result, "objective", result)  # the number that a sweep minimizes

    is_complete = False
    try:
        with _hide_sweep_files(line) as line, translate_errors(line):
            _call_hydra_main(line, run_job)
        is_complete = True
    except Exception as error:
        if not any(getattr(cause, "is_told", False) for cause in walk_causes(error)):
            raise
        # A job of submitit has printed its line into a log.
        first = explain(error) or to_one_line(error, with_type=True)
        raise RunError(f"not all jobs succeeded; the first that failed: {first}") from None
    finally:
        if SweepFolder.path is not None:
            _report_sweep(SweepFolder.path, typed, is_complete)
    for failure in failures:
        raise failure


def call(command: plugins.Command, typed: Sequence[str]) -> Any:
    """Run a command from Python, and return its result. Raise InputError or RunError."""
    line = read_line(command, typed)
    if line.flags or is_multirun(line.words):
        raise InputError("-m, --cfg and similar flags work only on the command line")
    with translate_errors(line):
        return _compose_and_run(line)


def _compose_and_run(line: CommandLine) -> Any:
    """Run a command line that is no sweep and has no flags, and return the command's result."""
    with translate_errors(line):
        with hydra.initialize_config_dir(str(plugins.CONF), version_base="1.3"):
            config = hydra.compose(line.command.name, line.words, return_hydra_config=True)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.runtime.output_dir = os.path.abspath(config.hydra.run.dir)
        HydraConfig.instance().set_config(config)
    options = [str(name) for name in config if name != "hydra"]
    return _run_job(line, OmegaConf.masked_copy(config, options))


def read_line(command: plugins.Command, typed: Sequence[str]) -> CommandLine:
    """Return the flags for Hydra, and the overrides in its grammar."""
    flags, words = split_flags(typed, command.name)
    if {"-m", "--multirun"} & {*flags}:
        flags = [flag for flag in flags if flag not in ("-m", "--multirun")]
        words = [*words, MULTIRUN]
    words = quote_literals(words, command)
    with translate_errors(CommandLine(command, flags, words)):
        prepare_words = command.get("prepare_words")
        prepared = words if prepare_words is None else prepare_words(words)
        added = {get_key(word) for word in prepared} - {get_key(word) for word in words}
        if is_multirun(prepared):
            prepared = [*prepared, _name_jobs_by_differences(prepared)]
    return CommandLine(command, flags, prepared, frozenset(added))


def _name_jobs_by_differences(words: Sequence[str]) -> str:
    """Return an override that leaves the options which all jobs share out of the jobs' names."""
    last = {override.key_or_group: override for override in parse(words)}
    shared = [name for name, override in last.items() if not override.is_sweep_override()]
    names = ",".join(map(quote, dict.fromkeys([*shared, "resume"])))
    return f"hydra.job.config.override_dirname.exclude_keys=[{names}]"


def _run_job(line: CommandLine, config: DictConfig) -> Any:
    """Check the options of a job, and run the command with them."""
    command = line.command
    if HydraConfig.get().job.chdir:
        raise InputError("hydra.job.chdir=true: charrnn does not change the working directory")
    with translate_errors(line):
        require_all(command.get("OPTIONS"), config.keys())  # before others refer to them
        values: Any = OmegaConf.to_container(config, resolve=True)
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise InputError(f"{missing[0]} is required: {missing[0]}=VALUE (--help explains it)")
        options = build(command.get("OPTIONS"), values)
    if not gc.isenabled():  # `charrnn.__main__` has turned it off for the imports.
        gc.freeze()
        gc.unfreeze()  # Both together make all objects old: they are rarely visited again.
        gc.enable()
    if not command.get("MAKES_FOLDER"):
        return command.get("run")(options)
    typed = [w for w in HydraConfig.get().overrides.task if get_key(w) not in line.added]
    return command.get("run")(options, config, [*line.flags, *map(show, typed)])


def _call_hydra_main(line: CommandLine, task: Any) -> None:
    """Call hydra.main, which reads sys.argv, and raises errors only under HYDRA_FULL_ERROR."""
    # With the override alone, Hydra would name a wrong option of a sweep as one of a single run.
    multirun = ["--multirun"] if is_multirun(line.words) else []
    words = [word for word in line.words if word != MULTIRUN]
    typed, sys.argv = sys.argv, ["charrnn", *multirun, *line.flags, *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(str(plugins.CONF), line.command.name, version_base="1.3")(task)()
    finally:
        sys.argv = typed  # of a program that calls `charrnn.__main__.main`


@contextlib.contextmanager
def _hide_sweep_files(line: CommandLine) -> Iterator[CommandLine]:
    """Send Hydra's files of a sweep to a temporary folder if the command has no folder."""
    if line.command.get("MAKES_FOLDER") or not is_multirun(line.words):
        yield line
        return
    with tempfile.TemporaryDirectory(prefix="charrnn-") as folder:
        yield line._replace(words=[*line.words, f"hydra.sweep.dir={quote(folder)}"])


def _report_sweep(folder: Path, typed: Sequence[str], is_complete: bool) -> None:
    """Print the leaderboard of a sweep, and how to continue it if it is not complete."""
    from charrnn.runs import leaderboard

    kept = [word for word in typed if get_key(word) not in ("hydra.sweep.dir", "resume")]
    words = [*kept, f"hydra.sweep.dir={shorten_path(folder)}", "resume=auto"]
    leaderboard.report_sweep(folder, "" if is_complete else f"charrnn train {shlex.join(words)}")


def _remove_empty_folders(folder: Path) -> None:
    """Remove a folder that is empty, and the empty ones between the working directory and it."""
    path = Path(os.path.relpath(folder))
    for each in (path, *path.parents):
        with contextlib.suppress(OSError):  # It has files, or is removed already.
            each.rmdir()
