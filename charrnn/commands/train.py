"""`charrnn train`: from a composed config to a run folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.errors import InputError, Interrupted
from charrnn.runs import world
from charrnn.runs.folder import is_run, refuse_run
from charrnn.sweeps.jobs import is_sweep

if TYPE_CHECKING:
    from lightning import Trainer

    from charrnn.cli.command_line import Flags
    from charrnn.cli.job import Request
    from charrnn.runs.spec import Result
    from charrnn.training import LanguageModel, TextDataModule


def train(*overrides: str) -> Result | None:
    """Train as `charrnn train` does: ``charrnn.train("model=gru", "data.input_txt=my.txt")``.

    Returns:
        The run's folder, its best loss and the step; None for a sweep.

    Raises:
        InputError, RunError: as the command does, one line each.
    """
    from charrnn.cli import compose

    result: Result | None = compose.call(plugins.commands()["train"], list(overrides))
    return result


def build(*overrides: str) -> tuple[TextDataModule, LanguageModel, Trainer]:
    """What `charrnn train` builds of these overrides, for a script of one's own.

        data, module, trainer = charrnn.build("model=gru", "data.input_txt=my.txt")
        trainer.fit(module, data)

    Returns:
        The data, opened; the module, with the weights that the seed makes; and the trainer, whose
        callbacks and loggers write into the folder of a run, as the command's do.

    Raises:
        InputError, RunError: as the command does; `resume=` goes on in `charrnn.train` only.
    """
    from charrnn.cli import compose
    from charrnn.cli.resuming import run_of
    from charrnn.runs import hardware, preflight
    from charrnn.runs.training_run import build_parts, prepared
    from charrnn.training.signals import Signals

    command = replace(plugins.commands()["train"], run=_asked)
    asked = compose.call(command, list(overrides))
    if asked is None:
        raise InputError("-m: charrnn.build builds one run; charrnn.train runs a sweep")
    if (run := run_of(asked)).source is not None:
        raise InputError(f"resume={asked.config.resume}: charrnn.train goes on with a run")
    preflight.check_options(run, world.SINGLE_PROCESS)
    run, inputs = prepared(run)
    if run.config.trainer.accelerator == "gpu":
        hardware.make_deterministic()
    module, trainer, _ = build_parts(run, inputs, Signals())
    return inputs.data, module, trainer


def _asked(asked: Request) -> Request:
    return asked


def run(asked: Request) -> Result:
    """Train, and say where the result is; its best validation loss is what a sweep minimises."""
    world.world()  # before Lightning is imported, which reads the same variables
    from charrnn.imports import first_import
    from charrnn.say import lasting_streams, say

    with first_import("lightning"):
        from charrnn.cli.resuming import run_of
        from charrnn.runs import training_run as runs
        from charrnn.training.signals import Signals

    with lasting_streams(), Signals() as signals:
        try:
            return runs.train(run_of(asked), signals)
        except Interrupted:
            if line := world.requeue():
                say(line)
            raise


def check(asked: Request) -> None:
    """Look whether a run can begin so, or go on; nothing is written."""
    from charrnn.cli.resuming import run_of

    run_of(asked)


def follow() -> int | None:
    """In all processes but the first that torchrun or srun started: train with the first.

    Returns:
        The exit code; None in a process that has to read the command line itself.
    """
    here = world.world()
    if not here.launcher:
        return None
    from charrnn.cli import exit_codes
    from charrnn.runs import process_group, processes
    from charrnn.runs.training_run import fit
    from charrnn.say import lasting_streams
    from charrnn.training.signals import Signals

    if here.rank == 0:
        process_group.join(here)  # at once: the others are waiting
        return None
    try:
        with lasting_streams(), Signals(speaks=False) as signals:
            processes.follow(fit, here, signals)
    except (process_group.LostProcess, Interrupted) as ended:
        return ended.exit_code  # rank 0 speaks of it
    except Exception as error:
        return exit_codes.end(f"charrnn train: rank {here.rank}", error)
    return 0


def prepare_overrides(overrides: list[str]) -> list[str]:
    """Overrides that let Hydra's folder be that of this run; ``resume=`` is the first of them."""
    values = {name: _unquoted(v) for name, _, v in (o.partition("=") for o in overrides)}
    resume, folder = values.get("resume"), values.get("hydra.run.dir")
    if resume not in (None, "auto") and is_sweep(Path(resume)):
        return overrides
    added = []
    if folder is None and (resume is None or not os.path.isdir(resume)):
        folder = world.slurm_job_folder()
        if folder is not None:
            added.append(f"hydra.run.dir={folder}")
        elif world.may_be_restarted_by_torchrun() and resume != "auto":
            raise InputError(
                "hydra.run.dir: with torchrun's --max-restarts give it, so that a restarted run "
                "finds its folder: hydra.run.dir=outputs/train/NAME"
            )
    named = resume == "auto" and "hydra.run.dir" in values
    if named:  # this very run, which may have to begin
        overrides = _without(overrides, "resume=")
        resume = None
    if folder is not None and is_run(Path(folder)) and (named or world.restarted()):
        # however it began, it goes on from where it was interrupted
        overrides = _without(overrides, "resume=", "init_from=", "budget=")
        resume = folder
    if resume is not None and os.path.isdir(resume):
        overrides = _without(overrides, "hydra.run.dir=")
        added = [f"hydra.run.dir={resume}"]
    elif folder is not None:
        refuse_run(Path(folder))
    if resume is None:
        return overrides + added
    return [f"resume={resume}", *_without(overrides, "resume="), *added]


def _without(overrides: list[str], *beginnings: str) -> list[str]:
    return [override for override in overrides if not override.startswith(beginnings)]


def go_on(overrides: list[str], flags: Flags) -> list[str]:
    """The overrides with which a resume is composed: what its record chose stands before them."""
    resume = next((o.partition("=")[2] for o in overrides if o.startswith("resume=")), "auto")
    resume = _unquoted(resume)
    if resume in ("auto", "null"):
        return overrides
    from charrnn.cli.resuming import run_words, searched_by, sweep_words
    from charrnn.runs.folder import RECORDED, read_record

    if is_sweep(Path(resume)):
        return sweep_words(Path(resume), _without(overrides, "resume="), flags)
    if os.path.isfile(resume):
        from charrnn.cli.resuming import checkpoint_record

        record = checkpoint_record(resume)
    elif os.path.lexists(Path(resume) / RECORDED):
        record = read_record(Path(resume))
    else:
        return overrides
    return run_words(record, overrides, searched_by(overrides, flags)) + overrides


def _unquoted(value: str) -> str:
    """The text of a value that stands in quotes of Hydra's grammar."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
