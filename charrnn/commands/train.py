"""`charrnn train`: train a model into a run folder."""

from __future__ import annotations

import gc
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import plugins
from charrnn.cli import current_job
from charrnn.cli.overrides import (
    RECORDED_CONFIG,
    find_word,
    is_bare,
    is_multirun,
    read_text,
    read_texts,
    read_value,
    set_text,
    show,
)
from charrnn.errors import STOP_SIGNALS, InputError, Interrupted
from charrnn.files import resolve_run_path
from charrnn.options.training import INSTEAD, SAME, TrainOptions, count_devices
from charrnn.runs import world
from charrnn.runs.folder import require_no_run
from charrnn.say import ignore_output_errors, say
from charrnn.text.corpora import CORPORA, require_text
from charrnn.text.sources import as_name_list

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from charrnn.models.trained import TrainedModel
    from charrnn.runs.run import Result, Run

__all__ = ["INSTEAD", "SAME"]  # which the command line reads here
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


def run(options: TrainOptions, config: DictConfig) -> Result:
    """Train, print where the run is, and return its result."""
    world.detect_world()  # before Lightning reads the same environment variables
    from charrnn.runs import training_run

    with ignore_output_errors():
        try:
            return training_run.train(prepare_run(options, config))
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

    gc.enable()
    if this.rank == 0:
        processes.join_group(this)  # early, because the other ranks wait
        return None
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # until training starts
    try:
        with ignore_output_errors():
            processes.follow(fit, this, rank_0)
    except (processes.LostProcess, Interrupted) as ended:
        return ended.exit_code  # Rank 0 prints the error.
    except Exception as error:
        return exit_codes.end(f"charrnn train: rank {this.rank}", error)
    return 0


def prepare_words(words: list[str]) -> list[str]:
    """Return the words with the run's folder, and with paths for the names of runs."""
    if not any(map(is_bare, words)):
        # A missing file is reported before torch is imported.
        for word in (find_word(words, name) or "" for name in (FIRST_WORD, "data.background")):
            for text in filter(None, read_texts(word)):
                require_text(text)
    if find_word(words, "data.input_h5") and find_word(words, FIRST_WORD) is None:
        words = [*words, f"{FIRST_WORD}=null"]  # not the default corpus
    words = _resolve_run_names(words)
    resume = read_text(words, "resume")
    if resume not in (None, "auto"):
        _check_resume_words(str(resume), words)
    if is_multirun(words):
        return words
    from charrnn.runs.resuming import find_start

    folder = read_text(words, "hydra.run.dir") or read_value(words, "hydra.run.dir")
    start = find_start(resume, folder)
    if start.folder is not None and start.folder != folder:
        words = set_text(words, "hydra.run.dir", start.folder)
    if start.resume is not None and start.resume != resume:
        words = set_text(words, "resume", start.resume)
    return words


def choose_main_config(words: list[str]) -> str | None:
    """Return the name of the config that has the record of a resumed run, or None."""
    resume = read_text(words, "resume")
    if resume in (None, "auto") or is_multirun(words):
        return None
    from charrnn.cli.recorded_config import store_record

    return store_record(str(resume), words)


_NOT_IN_A_RESUME = {
    "init_from": "resume= restores everything, init_from= only the weights",
    "budget": "a resume keeps the size that the first budget chose",
}


def _check_resume_words(resume: str, words: list[str]) -> None:
    """Raise InputError if other words do not fit the run that `resume` names."""
    if is_multirun(words):
        raise InputError(
            f"resume={resume}: to continue a sweep, give hydra.sweep.dir=FOLDER resume=auto; "
            f"to continue one run, leave -m out"
        )
    for name, why in _NOT_IN_A_RESUME.items():
        if word := find_word(words, name):
            raise InputError(f"{show(word)}: {why}; leave one out")


def _resolve_run_names(words: list[str]) -> list[str]:
    """Return the words with paths in resume= and init_from= for the names of `charrnn runs`."""
    for name in ("resume", "init_from"):
        texts = read_texts(find_word(words, name) or "")
        paths = texts if texts == ["auto"] else [*map(resolve_run_path, texts)]
        if is_multirun(words) and name == "init_from":
            # outputs/latest changes when the first job starts.
            paths = [*map(os.path.realpath, paths)]
        if paths != texts:
            words = set_text(words, name, *paths)
    return words


def prepare_run(options: TrainOptions, composed: DictConfig) -> Run:
    """Return the new or resumed run of checked options, without writing a file.

    Args:
        composed: the config from which the options were made.
    """
    from charrnn.runs.run import Run
    from charrnn.runs.trusted import find_untrusted, keep_interpolations

    values, resume = _resolve_paths(vars(options)), options.resume
    if current_job.get_number() is not None:
        _require_one_process(options.trainer)
        if resume is None and world.is_restarted_by_slurm():
            resume = "auto"
    config = keep_interpolations({**values, "resume": resume}, composed)
    given, swept = current_job.list_given()
    overrides, hydra = current_job.list_overrides(), current_job.read_node()
    run = _restore(Run(config, _get_folder(), given, swept, overrides, hydra), resume)
    run.config.resume = None
    words = " trust=true" if any(find_untrusted(run.record)) else ""
    return replace(run, resume_words=words, initial=_read_initial(run))


def _restore(run: Run, resume: str | None) -> Run:
    """Return a new run as it is, and a resumed run with its record and in its folder."""
    from charrnn.runs import folder as folders
    from charrnn.runs import resuming

    if resume == "auto" and (run.folder / folders.RECORDED).is_file():
        return resuming.restore_record(run, run.folder)
    if resume in (None, "auto"):
        require_no_run(run.folder)
        return run
    path = Path(os.path.realpath(resume))  # Path.resolve fails in a loop of links
    if path.is_dir() and not (path / folders.RECORDED).is_file():
        raise InputError(
            f"{resume}: is not a run folder (it has no {folders.RECORDED}); "
            f"name a folder that `charrnn train` created, or a .ckpt"
        )
    run = resuming.restore_record(run, path)
    if run.hydra["job"]["config_name"] != RECORDED_CONFIG:  # Hydra composed without the record
        raise InputError(f"resume={resume}: set resume= on the command line, without ${{...}}")
    return replace(run, folder=path) if path.is_dir() else run


def _read_initial(run: Run) -> TrainedModel | None:
    """Return the model of `init_from`. A run that has a checkpoint no longer needs it."""
    from charrnn.runs.folder import find_checkpoint
    from charrnn.runs.model_lookup import read_model

    source, name = run.source, run.config.init_from
    has_checkpoint = source is not None and (source.is_file() or find_checkpoint(source))
    return None if name is None or has_checkpoint else read_model(name)


def _get_folder() -> Path:
    """Return the job's folder. In a folder of another person, a link could lead to it."""
    from charrnn.runs.folder import require_no_link_below

    folder = current_job.get_folder()
    if (sweep := current_job.get_sweep_folder()) is not None:
        require_no_link_below(sweep, folder)
    return folder


def _resolve_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options with absolute paths, so that the run can resume in another folder."""
    data, init_from = dict(values["data"]), values["init_from"]
    for name in ("input_txt", "background", "input_h5", "input_json"):
        if data[name] is not None:
            names = [n if n in CORPORA else os.path.abspath(n) for n in as_name_list(data[name])]
            data[name] = names[0] if isinstance(data[name], str) else names
    if init_from is not None:
        init_from = os.path.realpath(init_from)  # outputs/latest will be a link to the new run.
    return {**values, "data": data, "init_from": init_from}


def _require_one_process(trainer: dict[str, Any]) -> None:
    """Raise InputError if a job of a sweep needs several processes."""
    several = count_devices(trainer["devices"]) != 1 or trainer["num_nodes"] != 1
    if several or trainer["strategy"] == "ddp":
        raise InputError(
            "trainer.devices, num_nodes, strategy: in a sweep (-m), each job trains in one "
            "process; start runs with several processes one by one"
        )
