"""`charrnn train`: train a model into a run folder."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.cli.command_line import Line, Override
from charrnn.errors import InputError, Interrupted
from charrnn.files import resolve_run_path
from charrnn.options.training import TrainOptions, count_devices
from charrnn.runs import world
from charrnn.runs.folder import is_run, require_no_run
from charrnn.say import ignore_output_errors, say
from charrnn.text.sources import find_files

if TYPE_CHECKING:
    from charrnn.runs.plan import Result

OPTIONS = TrainOptions
FIRST_WORD = "data.input_txt"
MAKES_FOLDER = True


def train(*overrides: str) -> Result:
    """Train like `charrnn train`: ``charrnn.train("model=gru", "data.input_txt=my.txt")``.

    Args:
        overrides: the options, as on the command line: NAME=VALUE.

    Returns:
        The run's folder, the losses of its best model, and the step of this model.

    Raises:
        InputError, RunError: the one-line error of the command.
    """
    if not all(isinstance(override, str) for override in overrides):
        raise TypeError('give texts, not a config: charrnn.train("model=gru", "seed=1")')
    from charrnn.cli import front

    return front.call(plugins.list_commands()["train"], list(overrides))


def run(options: TrainOptions) -> Result:
    """Train, print where the run is, and return its result."""
    world.detect_world()  # before Lightning reads the same environment variables
    from charrnn.cli.front import current_job
    from charrnn.cli.resuming import prepare_run
    from charrnn.runs import training_run as runs
    from charrnn.training.signals import Signals

    with ignore_output_errors(), Signals() as signals:
        try:
            return runs.train(prepare_run(options, current_job.get()), signals)
        except Interrupted:
            if line := world.requeue_slurm_job():
                say(line)
            raise


def follow() -> int | None:
    """Train as a rank other than 0, and return the exit code. Return None in others."""
    this = world.detect_world()
    if not this.launcher:
        return None
    rank_0 = world.connect_to_rank_0() if this.launcher == "charrnn" else None
    gc.disable()  # faster imports (see `charrnn.__main__`)
    from charrnn.cli import exit_codes
    from charrnn.runs import processes
    from charrnn.runs.training_run import fit
    from charrnn.training.signals import Signals

    gc.enable()
    if this.rank == 0:
        processes.join_group(this)  # early, because the other ranks wait
        return None
    try:
        with ignore_output_errors(), Signals(verbose=False) as signals:
            processes.follow(fit, this, signals, rank_0)
    except (processes.LostProcess, Interrupted) as ended:
        return ended.exit_code  # Rank 0 prints the error.
    except Exception as error:
        return exit_codes.end(f"charrnn train: rank {this.rank}", error)
    return 0


def prepare_line(line: Line) -> Line:
    """Return the line with the run's folder, and with the config of a resumed run."""
    text = line.find_last(FIRST_WORD).text
    if text and not any(override.is_bare_word for override in line.overrides):
        find_files(text)  # A missing file is reported before torch is imported.
    line = line.map_overrides(lambda override: _resolve_run_names(override, line.multirun))
    resume, given = line.find_last("resume").text, line.find_last("hydra.run.dir")
    is_auto, folder = resume == "auto", given.text or given.value
    source = None if is_auto else resume
    if line.multirun:
        if source is not None:
            raise InputError(
                f"resume={source}: to continue a sweep, give hydra.sweep.dir=FOLDER resume=auto; "
                f"to continue one run, leave -m out"
            )
        return line
    if source is not None and os.path.isdir(source):
        if folder is not None and os.path.realpath(folder) != os.path.realpath(source):
            raise InputError(
                f"hydra.run.dir={folder}: resume={source} continues in the run's folder; leave "
                f"one out, or resume a .ckpt of the run in a new folder"
            )
        if "${" in source:
            raise InputError(f"resume={source}: Hydra cannot use a folder with ${{ in its path")
        return _compose_over_record(line.with_text("hydra.run.dir", source), source)
    if folder is None:
        if folder := world.get_slurm_folder():
            line = line.with_text("hydra.run.dir", folder)
        elif is_auto:
            raise InputError(
                "resume=auto: needs a folder; add hydra.run.dir=FOLDER, or give "
                "resume=outputs/latest to continue the newest run"
            )
    if folder is not None and not is_auto and is_run(Path(folder)):
        if not world.is_restarted_by_slurm():
            require_no_run(Path(folder))
        # SLURM restarted the job, so it resumes the run, also instead of the .ckpt of the line.
        if source is None:
            return line.with_text("resume", "auto")
        line, source = line.with_text("resume", folder), folder
    return line if source is None else _compose_over_record(line, source)


def _resolve_run_names(override: Override, multirun: bool) -> Override:
    """Return an override of resume= or init_from= with paths for the names of `charrnn runs`."""
    if override.name not in ("resume", "init_from") or override.text == "auto":
        return override
    paths = tuple(map(resolve_run_path, override.texts))
    if multirun and override.name == "init_from":
        # outputs/latest changes when the first job starts.
        paths = tuple(map(os.path.realpath, paths))
    return override if paths == override.texts else Override.from_texts(override.name, *paths)


def _compose_over_record(line: Line, source: str) -> Line:
    from charrnn.cli.resuming import compose_over_record

    return compose_over_record(line, source)


def check_in_sweep(options: TrainOptions) -> None:
    """Raise InputError if a job of a sweep needs several processes."""
    trainer = options.trainer
    if count_devices(trainer.devices) != 1 or trainer.num_nodes != 1 or trainer.strategy == "ddp":
        raise InputError(
            "trainer.devices, num_nodes, strategy: in a sweep (-m), each job trains in one "
            "process; start runs with several processes one by one"
        )
