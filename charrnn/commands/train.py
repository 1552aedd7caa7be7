"""`charrnn train`: from a composed config to a run folder."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.cli.overrides import Override
from charrnn.errors import InputError, Interrupted
from charrnn.files import resolve_run_path
from charrnn.options.training import TrainOptions, count_of
from charrnn.runs import world
from charrnn.runs.folder import RECORDED, is_run, require_no_run

if TYPE_CHECKING:
    from charrnn.cli.command_line import Line
    from charrnn.runs.plan import Result

OPTIONS = TrainOptions
FIRST_WORD = "data.input_txt"
MAKES_FOLDER = True


def train(*overrides: str) -> Result:
    """Train as `charrnn train` does: ``charrnn.train("model=gru", "data.input_txt=my.txt")``.

    Returns:
        The run's folder, its best loss and the step.

    Raises:
        InputError, RunError: as the command does, one line each.
    """
    from charrnn.cli import front

    result: Result = front.call(plugins.list_commands()["train"], list(overrides))
    return result


def run(options: TrainOptions) -> Result:
    """Train, and say where the result is; its best validation loss is what a sweep minimises."""
    world.detect_world()  # before Lightning is imported, which reads the same variables
    from charrnn.cli.front import current_job
    from charrnn.cli.resuming import prepare_run
    from charrnn.runs import training_run as runs
    from charrnn.say import ignore_output_errors, say
    from charrnn.training.signals import Signals

    with ignore_output_errors(), Signals() as signals:
        try:
            return runs.train(prepare_run(options, current_job.get()), signals)
        except Interrupted:
            if line := world.requeue_slurm_job():
                say(line)
            raise


def follow() -> int | None:
    """Train with rank 0, in each other process of several.

    Returns:
        The exit code; None in a process that has to read the command line itself.
    """
    this = world.detect_world()
    if not this.launcher:
        return None
    rank_0 = world.connect_to_rank_0() if this.launcher == "charrnn" else None
    gc.disable()  # as in `charrnn.__main__`
    from charrnn.cli import exit_codes
    from charrnn.runs import processes
    from charrnn.runs.training_run import fit
    from charrnn.say import ignore_output_errors
    from charrnn.training.signals import Signals

    gc.enable()
    if this.rank == 0:
        processes.join_group(this)  # at once: the others are waiting
        return None
    try:
        with ignore_output_errors(), Signals(verbose=False) as signals:
            processes.follow(fit, this, signals, rank_0)
    except (processes.LostProcess, Interrupted) as ended:
        return ended.exit_code  # rank 0 speaks of it
    except Exception as error:
        return exit_codes.end(f"charrnn train: rank {this.rank}", error)
    return 0


def prepare_line(line: Line) -> Line:
    """Return the line with the folder of its run, and over the record of a run that it resumes.

    Raises:
        InputError: a resume cannot use this folder.
    """
    line = line.map_overrides(lambda override: _find_runs(override, line.multirun))
    resume, given = line.find_last("resume").text, line.find_last("hydra.run.dir")
    is_auto, folder = resume == "auto", given.text or given.value
    source = None if is_auto else resume
    if line.multirun:
        if source is not None:
            raise InputError(
                f"resume={source}: in a sweep (-m), resume=auto with hydra.sweep.dir=FOLDER goes "
                f"on with its jobs; one run goes on without -m"
            )
        return line
    if source is not None and os.path.isdir(source):
        if folder is not None and os.path.realpath(folder) != os.path.realpath(source):
            raise InputError(
                f"hydra.run.dir={folder}: resume={source} goes on in its own folder; leave one "
                f"out, or name a .ckpt in it, which goes on in a new folder"
            )
        if "${" in source:
            raise InputError(f"resume={source}: Hydra can use no folder with ${{ in its path")
        return _compose_over_record(line.with_text("hydra.run.dir", source), source)
    if folder is None:
        if folder := world.get_slurm_folder():
            line = line.with_text("hydra.run.dir", folder)
        elif is_auto:
            raise InputError(
                "resume=auto: goes on in the folder that is named, hydra.run.dir=FOLDER; "
                "resume=outputs/latest goes on with the newest run"
            )
    if folder is not None and not is_auto and is_run(Path(folder)):
        if not world.is_restarted_by_slurm():
            require_no_run(Path(folder))
        # However the run began, it resumes where it was interrupted.
        line = line.with_text("resume", "auto" if source is None else folder)
        source = source and folder
    return line if source is None else _compose_over_record(line, source)


def _find_runs(override: Override, multirun: bool) -> Override:
    """Return the override with paths for the runs that it names as `charrnn runs` prints them."""
    if override.name not in ("resume", "init_from") or override.text == "auto":
        return override
    paths = tuple(map(resolve_run_path, override.texts))
    if multirun and override.name == "init_from":
        # outputs/latest is another run once the first job has begun
        paths = tuple(map(os.path.realpath, paths))
    return override if paths == override.texts else Override.from_texts(override.name, *paths)


def _compose_over_record(line: Line, source: str) -> Line:
    if not os.path.isfile(source) and not os.path.lexists(Path(source) / RECORDED):
        return line  # `run_of` says what is wrong with it
    from charrnn.cli.resuming import compose_over_record

    return compose_over_record(line, source)


def check_in_sweep(options: TrainOptions) -> None:
    """Refuse a run in several processes: a sweep would have to share the devices out."""
    trainer = options.trainer
    one = count_of(trainer.devices) == 1 and trainer.num_nodes == 1 and trainer.strategy != "ddp"
    if not one:
        raise InputError(
            "trainer.devices, num_nodes, strategy: in a sweep (-m), each job trains in one "
            "process; start runs with several processes one by one"
        )
