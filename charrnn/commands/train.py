"""`charrnn train`: from a composed config to a run folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.errors import InputError, Interrupted
from charrnn.files import path_of_run
from charrnn.options.training import TrainOptions, count_of
from charrnn.runs import world
from charrnn.runs.folder import RECORDED, is_run, refuse_run

if TYPE_CHECKING:
    from charrnn.runs.spec import Result

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

    result: Result = front.call(plugins.commands()["train"], list(overrides))
    return result


def run(options: TrainOptions) -> Result:
    """Train, and say where the result is; its best validation loss is what a sweep minimises."""
    world.detect_world()  # before Lightning is imported, which reads the same variables
    from charrnn.cli.front import current_job
    from charrnn.cli.resuming import run_of
    from charrnn.cpu import collect_garbage_again
    from charrnn.runs import training_run as runs
    from charrnn.say import say, streams_that_never_fail
    from charrnn.training.signals import Signals

    collect_garbage_again()
    with streams_that_never_fail(), Signals() as signals:
        try:
            return runs.train(run_of(options, current_job.get()), signals)
        except Interrupted:
            if line := world.requeue():
                say(line)
            raise


def follow() -> int | None:
    """In all processes but the first that torchrun or srun started: train with the first.

    Returns:
        The exit code; None in a process that has to read the command line itself.
    """
    this = world.detect_world()
    if not this.launcher:
        return None
    from charrnn.cli import exit_codes
    from charrnn.cpu import collect_garbage_again
    from charrnn.runs import processes
    from charrnn.runs.training_run import fit
    from charrnn.say import streams_that_never_fail
    from charrnn.training.signals import Signals

    if this.rank == 0:
        processes.join(this)  # at once: the others are waiting
        return None
    collect_garbage_again()
    try:
        with streams_that_never_fail(), Signals(verbose=False) as signals:
            processes.follow(fit, this, signals)
    except (processes.LostProcess, Interrupted) as ended:
        return ended.exit_code  # rank 0 speaks of it
    except Exception as error:
        return exit_codes.end(f"charrnn train: rank {this.rank}", error)
    return 0


def prepare_overrides(words: list[str], multirun: bool) -> list[str]:
    """Words that let Hydra's folder be that of this run."""
    words = [_with_path(word, multirun) for word in words]
    values = {name: _unquoted(v) for name, _, v in (w.partition("=") for w in words)}
    resume, folder = values.get("resume", "null"), values.get("hydra.run.dir")
    resumes = resume not in ("auto", "null")
    if multirun and resumes:
        raise InputError(
            f"resume={resume}: in a sweep (-m), resume=auto with hydra.sweep.dir=FOLDER goes "
            f"on with its jobs; one run goes on without -m"
        )
    if multirun:
        return words
    if resumes and os.path.isdir(resume):
        if folder is not None and os.path.realpath(folder) != os.path.realpath(resume):
            raise InputError(
                f"hydra.run.dir={folder}: resume={resume} goes on in its own folder; leave one "
                f"out, or name a .ckpt in it, which goes on in a new folder"
            )
        without = [word for word in words if not word.startswith("hydra.run.dir=")]
        return [*without, f"hydra.run.dir={resume}"]
    if folder is None and (folder := world.slurm_job_folder()):
        words = [*words, f"hydra.run.dir={folder}"]
    if folder is None and resume == "auto":
        raise InputError(
            "resume=auto: goes on in the folder that is named, hydra.run.dir=FOLDER; "
            "resume=outputs/latest goes on with the newest run"
        )
    if folder is not None and resume != "auto" and is_run(Path(folder)):
        if not world.restarted_by_slurm():
            refuse_run(Path(folder))
        # however it began, it goes on from where it was interrupted; a resume over its record
        without = [word for word in words if not word.startswith("resume=")]
        return [*without, f"resume={folder if resumes else 'auto'}"]
    return words


def _with_path(word: str, multirun: bool) -> str:
    """A run that is named as `charrnn runs` prints it, by its path."""
    name, _, value = word.partition("=")
    if name not in ("resume", "init_from") or (run := _unquoted(value)) in ("", "null", "auto"):
        return word
    path = path_of_run(run)
    if multirun and name == "init_from" and run == value:
        path = os.path.realpath(path)  # outputs/latest will be another run once the first job began
    return f"{name}={value.replace(run, path)}"


def main_config(words: list[str]) -> tuple[str, list[str]]:
    """The name of the main config, of a resume its record, and the words over it."""
    resume = _unquoted(next((w.partition("=")[2] for w in words if w.startswith("resume=")), ""))
    if not os.path.isfile(resume) and not os.path.lexists(Path(resume) / RECORDED):
        return "train", words  # what it is, is told when the run begins
    if resume in ("", "auto", "null"):
        return "train", words
    from charrnn.cli.resuming import compose_over, read_record

    name = compose_over(read_record(resume), resume, words)
    # what was added then is there now
    return name, [f"+{word}" if re.match(r"\+[^+]", word) else word for word in words]


def check_in_sweep(options: TrainOptions) -> None:
    """Refuse a run in several processes: a sweep would have to share the devices out."""
    trainer = options.trainer
    one = count_of(trainer.devices) == 1 and trainer.num_nodes == 1 and trainer.strategy != "ddp"
    if not one:
        raise InputError(
            "trainer.devices, num_nodes, strategy: in a sweep (-m), each job trains in one "
            "process; start runs with several processes one by one"
        )


def _unquoted(value: str) -> str:
    """The text of a value that stands in quotes of Hydra's grammar."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
