"""`charrnn train`: from a composed config to a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.errors import InputError, Interrupted
from charrnn.runs import world
from charrnn.runs.folder import is_run, refuse_run
from charrnn.sweeps.jobs import is_sweep

if TYPE_CHECKING:
    from charrnn.cli.compose import Composed
    from charrnn.cli.flags import Flags
    from charrnn.runs.request import Request, Result


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


def run(composed: Composed) -> Result:
    """Train, and say where the result is; its best validation loss is what a sweep minimises."""
    world.world()  # before Lightning is imported, which reads the same variables
    from charrnn.runs import train as runs
    from charrnn.say import lasting_streams, say
    from charrnn.training.signals import Signals

    request = _request(composed)
    with lasting_streams(), Signals() as signals:
        try:
            return runs.train(request, signals)
        except Interrupted:
            if line := world.requeue():
                say(line)
            raise


def check(composed: Composed) -> None:
    """Look whether a run can begin so, or go on; nothing is written."""
    from charrnn.runs.begin import beginning

    beginning(_request(composed))


def _request(composed: Composed) -> Request:
    from charrnn.cli.building import build, having
    from charrnn.options.commands import TrainOptions
    from charrnn.options.ranges import FIXED
    from charrnn.runs.request import Request

    return Request(
        config=composed.config,
        given=composed.given,
        folder=Path(composed.folder),
        choices=composed.choices,
        overrides=composed.overrides,
        hydra=composed.hydra,
        flags=composed.flags,
        job_id=composed.job_id,
        fixed=having("train", FIXED),
        check=lambda config: vars(build(TrainOptions, config)),
        composed_with=composed.composed_with,
    )


def follow() -> int | None:
    """In all processes but the first that torchrun or srun started: train with the first.

    Returns:
        The exit code; None in a process that has to read the command line itself.
    """
    here = world.world()
    if not here.launcher:
        return None
    from charrnn.cli import endings
    from charrnn.runs import group, processes
    from charrnn.say import lasting_streams
    from charrnn.training.signals import Signals

    if here.rank == 0:
        group.meet(here)  # at once: the others are waiting
        return None
    try:
        with lasting_streams(), Signals(speaks=False) as signals:
            processes.follow(here, signals)
    except (group.LostProcess, Interrupted) as ended:
        return ended.exit_code  # rank 0 speaks of it
    except Exception as error:
        return endings.end(f"charrnn train: rank {here.rank}", error)
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
    from charrnn.cli.resuming import run_words, sweep_words
    from charrnn.runs.folder import RECORDED, read_record

    if is_sweep(Path(resume)):
        return sweep_words(Path(resume), _without(overrides, "resume="), flags)
    if os.path.isfile(resume):
        from charrnn.runs.begin import checkpoint_record

        return run_words(checkpoint_record(resume), overrides, flags) + overrides
    if os.path.lexists(Path(resume) / RECORDED):
        return run_words(read_record(Path(resume)), overrides, flags) + overrides
    return overrides


def _unquoted(value: str) -> str:
    """The text of a value that stands in quotes of Hydra's grammar."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
