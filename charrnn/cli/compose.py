"""From the words of a command line to options, and from there into the command.

Everything is composed and checked first, through Hydra's Compose API, before anything is
written and before the command imports what takes time. Then ``hydra.main`` composes the same
again and runs it: it makes the run's folder, calls the callbacks of Hydra's own, sweeps.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import flags, hydra_main, surroundings
from charrnn.cli.job import Composed, Job, options_of
from charrnn.cli.line import Line, hydra_config
from charrnn.cli.literal import literal
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError, RunError
from charrnn.plugins import Command

__all__ = ["Composed", "call", "main"]


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
    given, overrides = flags.parse(words)
    if prepare := command.beside("prepare_overrides"):
        overrides = prepare(overrides)
    multirun = given.multirun or "hydra.mode=MULTIRUN" in overrides
    run, overrides = plugins.resolved(command), literal(overrides, command.name, multirun)
    line = Line(command.name, run, given, overrides, multirun)
    line.add_options()
    if given.show_only():
        from charrnn.cli import show

        return show.show(line)
    if multirun:
        return _sweep(line)
    with explaining(line):
        config = line.compose()
        if config.hydra.mode == RunMode.MULTIRUN:  # says an experiment file
            return _sweep(line)
        with hydra_config(config):
            options_of(command.name, config, config.hydra)
            folder = hydra_main.folder_of("hydra.run.dir", config.hydra.run.dir)
    return _run(line, config, folder)


def _sweep(line: Line) -> None:
    from charrnn.cli import sweep

    line.multirun = True
    sweep.run(line)


def _run(line: Line, config: DictConfig, folder: Path) -> Any:
    """Run one job."""
    job = Job(line.command, line.run, surroundings.wants_traceback())
    if not _needs_hydra(config):
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.runtime.output_dir = str(folder)
        with hydra_config(config):
            return job(config)
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    folder, settled = hydra_main.settled(config, "run", folder)
    try:
        hydra_main.run(line, job, [*line.words(["--run"]), *settled])
    except Exception as error:
        if error is not job.error:
            if isinstance(error, OSError):
                reason = error.strerror or error
                raise RunError(f"{folder}: cannot be written ({reason})") from error
            with explaining(line):
                raise
        if isinstance(error, InputError):
            _take_back(folder, standing)
        raise
    return job.value


def _needs_hydra(config: DictConfig) -> bool:
    """Whether hydra.main has anything to do for a single job but to call it.

    It has not for a command that makes no folder, and composing once rather than three times
    is a quarter of the time that a short sample takes.
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
