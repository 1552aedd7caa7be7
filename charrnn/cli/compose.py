"""From the words of a command line to options, and from there into the command.

The config is composed once and checked once, through Hydra's Compose API, before anything is
written and before the command imports what takes time. Hydra's `run_job` then makes the run's
folder and runs the command on that config. A sweep is left to ``hydra.main``, which composes
each of its jobs.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus, configure_log, run_job
from hydra.types import HydraContext, RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli.command_line import (
    Line,
    hydra_config,
    hydras_environment,
    parse_flags,
    wants_traceback,
)
from charrnn.cli.config_files import key_of
from charrnn.cli.job import Job, options_of
from charrnn.cli.literal import literal
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError, RunError, shown
from charrnn.files import make_new_folder
from charrnn.options.ranges import require_path
from charrnn.options.training import TrainOptions
from charrnn.plugins import Command

if TYPE_CHECKING:
    from hydra.experimental.callback import Callback


def run(line: Line, job: Job, words: list[str]) -> None:
    """Let hydra.main do what these words say; it raises what the job raises."""
    task = hydra.main(
        version_base="1.3", config_path=line.config_path, config_name=line.config_name
    )(job)
    with warnings.catch_warnings(), hydras_environment(words):
        warnings.filterwarnings("ignore", module=r"hydra\.")
        task()


def run_once(job: Job, config: DictConfig) -> None:
    """Let Hydra run a job on a config that is composed already; it raises what the job raises.

    Hydra makes the folder, writes .hydra into it, sets up logging and the environment, and calls
    the callbacks of its own. hydra-zen runs jobs in the same way.
    """
    hydra = config.hydra
    configure_log(hydra.hydra_logging, hydra.verbose)
    callbacks = _Callbacks([instantiate(node) for node in (hydra.callbacks or {}).values()])
    context = HydraContext(GlobalHydra.instance().config_loader(), callbacks)  # type: ignore[arg-type]
    callbacks.call("on_run_start", config=config, config_name=hydra.job.config_name)
    returned = run_job(job, config, "hydra.run.dir", None, context)
    callbacks.call("on_run_end", config=config, config_name=hydra.job.config_name)
    if returned.status == JobStatus.FAILED:
        # its value would be raised with a line of Hydra's on standard error
        assert job.error is not None
        raise job.error


class _Callbacks:
    """Those of ``hydra.callbacks``, as `run_job` calls them."""

    def __init__(self, each: Sequence[Callback]) -> None:
        self.each = each

    def call(self, name: str, **known: Any) -> None:
        for callback in self.each:
            getattr(callback, name)(**known)

    def on_job_start(self, **known: Any) -> None:
        self.call("on_job_start", **known)

    def on_job_end(self, **known: Any) -> None:
        self.call("on_job_end", **known)


def folder_of(option: str, value: str) -> Path:
    """The folder that Hydra is to make, absolute."""
    if value == "":
        raise InputError(f"{option}=: takes a folder")
    require_path(option, value)
    folder = os.path.abspath(value)
    if "${" in folder:
        # Hydra writes the path back into its config, and would interpolate it there
        raise InputError(
            f"{option}={shown(value)}: Hydra cannot make a folder with ${{ in its path; for "
            f"Hydra's own ${{...}} put the value in quotes: {option}=\"'...'\""
        )
    return Path(folder)


def settled(config: DictConfig, mode: str, folder: Path) -> tuple[Path, str | None]:
    """Settle a folder that is called after the time, before Hydra looks at the clock again.

    It is made here, so that of runs and sweeps that begin in the same microsecond each has its
    own.

    Args:
        config: composed, not resolved.
        mode: run or sweep.
        folder: as it was composed.

    Returns:
        The folder, and what ``hydra.MODE.dir`` has to be for it; None where it is that already.
    """
    written = str(OmegaConf.to_container(config.hydra[mode])["dir"])  # type: ignore[index, call-overload]
    if "${now:" not in written:
        return folder, None
    made = make_new_folder(folder)
    return made, str(made) if os.path.isabs(written) else os.path.relpath(made)


def show(line: Line) -> None:
    """Print what the flags ask for."""
    text = _resolved(line) or _by_hydra(line)
    encoding = sys.stdout.encoding or "utf-8"
    print(text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding))


def _resolved(line: Line) -> str | None:
    """``--cfg job --resolve``: the options as the command gets them, ``${oc.env:LR}`` a number.

    None where something else is asked for, or an option is still missing.
    """
    if line.flags.cfg != "job" or not line.flags.resolve:
        return None
    try:
        with explaining(line):
            config = line.compose()
            with hydra_config(config):
                options = options_of(line.command, config, config.hydra)
                is_training = isinstance(options, TrainOptions)
                values: Any = options.plain() if is_training else asdict(options)
    except InputError:
        return None
    header = ""
    if line.flags.package not in (None, "_global_"):
        header = f"# @package {line.flags.package}\n"
        for part in str(line.flags.package).split("."):
            if not isinstance(values, dict) or part not in values:
                return None
            values = values[part]
    import yaml

    return header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _by_hydra(line: Line) -> str:
    shown = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        with (
            explaining(line),
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            run(line, Job(line.command, line.run, False), line.words(line.flags.show_only()))
    except SystemExit as end:
        if end.code:
            raise InputError(f"--package {line.flags.package}: no such part") from None
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    return shown.getvalue()


def main(command: Command, words: list[str]) -> int:
    """Run a command with the words that follow it, and return the exit code."""
    if (follow := command.beside("follow")) and (code := follow()) is not None:
        return int(code)
    call(command, words)
    return 0


def call(command: Command, words: list[str]) -> Any:
    """Run a command with the words that follow it.

    Returns:
        What the command returns: for train the best validation loss. None for a sweep, and
        where something is only shown.

    Raises:
        InputError, RunError: as the command does, or the words do not fit.
    """
    given, overrides = parse_flags(words)
    if prepare := command.beside("prepare_overrides"):
        overrides = prepare(overrides)
    for override in overrides:
        if command.name == "train" and key_of(override) == "hydra.output_subdir":
            raise InputError(
                f"{override}: a run's config is always in its folder .hydra, from which it is "
                f"resumed; leave it out"
            )
    if go_on := command.beside("go_on"):
        overrides = go_on(overrides, given)
    multirun = given.multirun or "hydra.mode=MULTIRUN" in overrides
    run, check = plugins.resolved(command), command.beside("check")
    overrides = literal(overrides, command.name, multirun)
    line = Line(command.name, run, given, overrides, multirun, check)
    line.add_options()
    if given.show_only():
        return show(line)
    if multirun:
        return _sweep(line)
    with explaining(line):
        config = line.compose()
        if config.hydra.mode == RunMode.MULTIRUN:  # says an experiment file
            return _sweep(line)
        with hydra_config(config):
            folder = folder_of("hydra.run.dir", config.hydra.run.dir)
            _set_folder(config, folder)
            options = options_of(command.name, config, config.hydra)
    job = Job(command.name, run, wants_traceback(), line.places(), options=options)
    if not _needs_hydra(config):
        with hydra_config(config):
            return job(config)
    return _run(line, job, config, folder)


def _sweep(line: Line) -> None:
    from charrnn.cli import sweep

    line.multirun = True
    sweep.run(line)


def _set_folder(config: DictConfig, folder: Path) -> None:
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.runtime.output_dir = str(folder)


def _run(line: Line, job: Job, config: DictConfig, folder: Path) -> Any:
    """Run one job in a folder of its own."""
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    made, words = settled(config, "run", folder)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.mode = RunMode.RUN
        if words is not None:
            config.hydra.run.dir = words
    if made != folder:  # another run began in the same microsecond
        _set_folder(config, made)
        with explaining(line), hydra_config(config):
            job.options = options_of(line.command, config, config.hydra)
    try:
        with line.opened():
            run_once(job, config)
    except Exception as error:
        if error is not job.error:
            if isinstance(error, OSError):
                reason = error.strerror or error
                raise RunError(f"{made}: cannot be written ({reason})") from error
            with explaining(line):
                raise
        if isinstance(error, InputError):
            _take_back(made, standing)
        raise
    return job.value


def _needs_hydra(config: DictConfig) -> bool:
    """Whether Hydra has anything to do for a single job but to call it.

    It has not for a command that makes no folder.
    """
    hydra: Any = OmegaConf.to_container(config.hydra)
    return bool(
        hydra["output_subdir"] is not None
        or hydra["run"]["dir"] != "."
        or hydra["job"].get("chdir")
        or hydra["job"].get("env_set")
        or hydra.get("callbacks")
        or hydra["verbose"]
        or hydra["runtime"]["choices"].get("hydra/job_logging") != "stderr"
    )


def _take_back(folder: Path, standing: Path) -> None:
    """Remove a run folder in which nothing has begun, and those made on the way to it."""
    if folder == standing or not folder.is_dir():
        return
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        return
    shutil.rmtree(folder)
    for parent in folder.parents:
        if parent == standing or any(parent.iterdir()):
            break
        parent.rmdir()
