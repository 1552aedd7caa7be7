"""From the words of a command line to options, and from there into the command.

The config is composed once and checked once, through Hydra's Compose API, before anything is
written and before the command imports what takes time. Hydra's `run_job` then makes the run's
folder and runs the command on that config. Of a sweep, its sweeper and launcher compose each job.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import hydra_jobs
from charrnn.cli.command_line import Line, hydra_config, parse_flags
from charrnn.cli.config_files import key_of
from charrnn.cli.job import Job, options_of
from charrnn.cli.literal import literal
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError, RunError
from charrnn.plugins import Command


def main(command: Command, words: list[str]) -> int:
    """Run a command with the words that follow it, and return the exit code."""
    if (follow := command.beside("follow")) and (code := follow()) is not None:
        return int(code)
    call(command, words)
    return 0


def call(command: Command, words: list[str]) -> Any:
    """Run a command with the words that follow it.

    Returns:
        What the command returns: for train its `Result`. None for a sweep, and where something
        is only shown.

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
    if given.show_only:
        from charrnn.cli import shown_config

        return shown_config.show(line)
    if multirun:
        return _sweep(line)
    with explaining(line):
        config = line.compose()
        if config.hydra.mode == RunMode.MULTIRUN:  # says an experiment file
            return _sweep(line)
        with hydra_config(config):
            folder = hydra_jobs.folder_of("hydra.run.dir", config.hydra.run.dir)
            _set_folder(config, folder)
            options = options_of(command.name, config, config.hydra)
    job = Job(command.name, run, line.places(), options=options)
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
    made, settled = hydra_jobs.settled(config, "run", folder)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.mode = RunMode.RUN
        if settled is not None:
            config.hydra.run.dir = settled
    if made != folder:  # another run began in the same microsecond
        _set_folder(config, made)
        with explaining(line), hydra_config(config):
            job.options = options_of(line.command, config, config.hydra)
    try:
        with line.opened():
            hydra_jobs.run_once(job, config)
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
