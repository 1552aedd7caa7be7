"""`charrnn train`: train a model into a run folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.cli import current_job
from charrnn.cli.checked_options import build
from charrnn.cli.overrides import (
    find_word,
    get_key,
    is_bare,
    is_multirun,
    read_text,
    read_texts,
    read_value,
    set_text,
    show,
)
from charrnn.errors import InputError
from charrnn.files import resolve_run_path
from charrnn.options.training import INSTEAD, SAME, TrainOptions, count_devices, flatten
from charrnn.runs import ranks
from charrnn.runs.folder import escape_interpolations, has_interpolation
from charrnn.say import ignore_output_errors
from charrnn.text.corpora import CORPORA, require_text
from charrnn.text.sources import as_name_list

if TYPE_CHECKING:
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
    world = ranks.join()
    from charrnn.runs import training_run

    with ignore_output_errors():
        if world.rank:
            return training_run.follow(world)
        run = prepare_run(options, config)
        processes = count_devices(run.config.trainer.devices), run.config.trainer.num_nodes
        if not world.launcher and processes != (1, 1):
            with contextlib.suppress(OSError):
                run.folder.rmdir()  # Hydra has made it, and will make another one.
            ranks.start(*processes)
        return training_run.train(run)


def prepare_words(words: list[str]) -> list[str]:
    """Return the words with the run's folder. All ranks get those of rank 0."""
    if is_multirun(words) and ranks.detect_world().launcher:
        raise InputError("-m: start a sweep without torchrun and srun; each job is one process")
    if (world := ranks.join()).rank:
        return ranks.share()
    words = _prepare_words(words)
    return ranks.share(_set_default_folder(words) if world.launcher else words)


def _set_default_folder(words: list[str]) -> list[str]:
    """Return the words with the run's folder, whose default name has the time of this process."""
    if find_word(words, "hydra.run.dir") is not None:
        return words
    setup_globals()  # for ${now:...}
    folder = OmegaConf.load(plugins.CONF / "train.yaml").hydra.run.dir
    return set_text(words, "hydra.run.dir", folder)


def _prepare_words(words: list[str]) -> list[str]:
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
    from charrnn.runs.resume import find_folder, list_choices

    folder = read_text(words, "hydra.run.dir") or read_value(words, "hydra.run.dir")
    where, source = find_folder(resume, folder)
    if where is not None and where != folder:
        words = set_text(words, "hydra.run.dir", where)
    if source not in (None, "auto"):
        words = set_text(words, "resume", source)
        choices = list_choices(source, {get_key(word) for word in words})
        words = [
            *choices,
            *words,
            f"hydra.job.config.override_dirname.exclude_keys={_names(choices)}",
        ]
    return words


def _names(choices: list[str]) -> str:
    """Return the names of recorded choices, which today's command line does not give."""
    return "[" + ",".join(["resume", "trust", *map(get_key, choices)]) + "]"


_NOT_IN_A_RESUME = {
    "init_from": "resume= restores everything, init_from= only the weights",
    "experiment": "a resume keeps the values of the run",
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
    from charrnn.runs import resume as resuming
    from charrnn.runs.run import Run

    values, resume = _resolve_paths(vars(options)), options.resume
    is_requeued = int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0  # by submitit, for example
    if resume is None and is_requeued and current_job.get_number() is not None:
        resume = "auto"
    given, swept = current_job.list_given()
    config = _resolve_given(composed, values, given)
    overrides, hydra = current_job.list_overrides(), current_job.read_node()
    run = resuming.restore(Run(config, _get_folder(), given, swept, overrides, hydra), resume)
    run.config.resume = None
    if run.checkpoint is not None:  # the recorded values are checked as typed ones are
        with translate_record(run.checkpoint):
            build(TrainOptions, OmegaConf.to_container(run.config, resolve=True))
    return replace(run, initial=_read_initial(run))


def _resolve_given(
    composed: DictConfig, values: dict[str, Any], given: Sequence[str]
) -> DictConfig:
    """Return the composed config with the checked values; references of conf/ stay."""
    from omegaconf import open_dict

    config = composed.copy()
    raw, checked = flatten(OmegaConf.to_container(composed)), flatten(escape_interpolations(values))
    with open_dict(config):
        for name, value in checked.items():
            is_reference = has_interpolation(raw.get(name)) and name not in given
            if name in raw and not is_reference and raw[name] != value:
                OmegaConf.update(config, name, value)
    return config


@contextlib.contextmanager
def translate_record(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: its recorded {error}") from error


def _read_initial(run: Run) -> TrainedModel | None:
    """Return the model of `init_from`. A run that has a checkpoint no longer needs it."""
    from charrnn.runs.model_lookup import read_model

    name = run.config.init_from
    return None if name is None or run.checkpoint is not None else read_model(name)


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


def check_in_sweep(options: TrainOptions, config: DictConfig) -> None:
    """Raise InputError if a job needs several processes, or cannot use or resume its folder."""
    trainer = options.trainer
    several = count_devices(trainer["devices"]) != 1 or trainer["num_nodes"] != 1
    if several or trainer["strategy"] == "ddp":
        raise InputError(
            "trainer.devices, num_nodes, strategy: in a sweep (-m), each job trains in one "
            "process; start runs with several processes one by one"
        )
    _get_folder()  # refuses a folder to which a link leads
    if options.resume == "auto":
        from charrnn.runs import training_run

        training_run.check_changes(prepare_run(options, config))
