"""`charrnn train`: train a model into a run folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict

from charrnn import plugins
from charrnn.cli import current_job
from charrnn.cli.checked_options import build
from charrnn.cli.overrides import (
    find_word,
    get_key,
    is_multirun,
    read_text,
    read_texts,
    set_text,
    show,
    split,
)
from charrnn.errors import InputError
from charrnn.files import resolve_run_path
from charrnn.options.interpolations import escape_interpolations, has_interpolation
from charrnn.options.training import TrainOptions, count_devices, flatten
from charrnn.runs import ranks
from charrnn.runs.folder import find_checkpoint, require_no_links
from charrnn.runs.model_lookup import read_model
from charrnn.runs.resume import GROUPS, Record, is_given, list_choices, read_record, restore_config
from charrnn.text.corpora import CORPORA
from charrnn.text.sources import as_name_list, require_text

if TYPE_CHECKING:
    from charrnn.models.trained import TrainedModel
    from charrnn.runs.result import Result
    from charrnn.runs.run import Run

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


def run(options: TrainOptions, config: DictConfig, words: Sequence[str]) -> Result:
    """Train, and return the result. Only rank 0 prepares the run.

    With trainer.devices=2, torchrun replaces this process, and starts the command for each rank.
    """
    world = ranks.join()
    run = None if world.rank else prepare_run(options, config, words)
    from charrnn.runs.run import follow_run, train_run  # imports Lightning

    if run is None:
        return follow_run(world)
    processes = count_devices(run.config.trainer.devices), run.config.trainer.num_nodes
    if not world.launcher and processes != (1, 1):
        if current_job.get_number() is not None:
            raise InputError(
                "trainer.devices, num_nodes: in a sweep (-m), each job trains in one process; "
                "start runs with several processes one by one"
            )
        with contextlib.suppress(OSError):
            run.folder.rmdir()  # Hydra has made it, and will make another one.
        ranks.start(*processes)
    return train_run(run)


# -- from the typed words to those that Hydra composes -----------------------------------------


def prepare_words(words: list[str]) -> list[str]:
    """Return the words as Hydra needs them, with the choices of a resumed run.

    This connects the ranks, all of which get the words of rank 0, with the run's folder. Names of
    runs become paths. Raise InputError for a missing text.
    """
    if is_multirun(words) and ranks.detect_world().launcher:
        raise InputError("-m: start a sweep without torchrun and srun; each job is one process")
    if (world := ranks.join()).rank:
        return ranks.share()
    # A missing file is reported before torch is imported.
    for word in (find_word(words, name) for name in (FIRST_WORD, "data.background")):
        for text in filter(None, read_texts(word or "")):
            require_text(text)
    if find_word(words, "data.input_h5") and find_word(words, FIRST_WORD) is None:
        words = [*words, f"{FIRST_WORD}=null"]  # not the default corpus
    words = _resolve_run_names(words)
    if is_multirun(words):
        _check_sweep(words)
    else:
        words = _prepare_resume(words)
    return ranks.share(_set_default_folder(words) if world.launcher else words)


def _set_default_folder(words: list[str]) -> list[str]:
    """Return the words with the run's folder, whose default name has the time of this process."""
    if find_word(words, "hydra.run.dir") is not None:
        return words
    setup_globals()  # for ${now:...}
    folder = OmegaConf.load(plugins.CONF / "train.yaml").hydra.run.dir
    return set_text(words, "hydra.run.dir", folder)


_NOT_IN_A_RESUME = {
    "init_from": "resume= restores everything, init_from= only the weights",
    "experiment": "a resume keeps the values of the run",
}


def _prepare_resume(words: list[str]) -> list[str]:
    """Return the words with the folder and the recorded choices of the run that is resumed."""
    resume, place = read_text(words, "resume"), find_word(words, "hydra.run.dir")
    if read_text(words, "hydra.run.dir") == "":
        raise InputError("hydra.run.dir=: takes a folder")
    if resume == "auto" and place is None:
        raise InputError(
            "resume=auto: needs a folder; add hydra.run.dir=FOLDER, or give "
            "resume=outputs/latest to continue the newest run"
        )
    if resume in (None, "auto"):
        return words
    for name, why in _NOT_IN_A_RESUME.items():
        if word := find_word(words, name):
            raise InputError(f"{show(word)}: {why}; leave one out")
    if not os.path.exists(resume):
        raise InputError(f"resume={resume}: no such run or file; `charrnn runs` lists the runs")
    if os.path.isdir(resume) and place is None:
        words = set_text(words, "hydra.run.dir", os.path.realpath(resume))
    words = [*map(_unset, words)]
    record = _read_record_with(Path(resume), [*map(show, words)])
    return [*list_choices(record, {*map(get_key, words)}), *words]


def _read_record_with(source: Path, typed: Sequence[str]) -> Record:
    """Return a record, with the typed words in the place of the recorded ones."""
    record = read_record(source)
    typed = [word for word in typed if get_key(word) not in ("resume", "hydra.run.dir")]
    names = {*map(get_key, typed)}
    # +callbacks.mine=null replaces the words for the options of the node, too.
    nodes = {name for name in names if "." in name}
    kept = [w for w in record.words if not is_given(get_key(w), nodes) and get_key(w) not in names]
    return replace(record, words=[*kept, *typed])


def _unset(word: str) -> str:
    """Return ``~a.b`` as ``++a.b=null``, because Hydra cannot remove what only a record has."""
    prefix, name, value = split(word)
    return f"++{name}=null" if prefix == "~" and "." in name and value is None else word


def _check_sweep(words: list[str]) -> None:
    """Raise InputError if a sweep names a run to resume, or a folder that has links."""
    resume, folder = read_text(words, "resume"), read_text(words, "hydra.sweep.dir")
    if resume not in (None, "auto"):
        raise InputError(
            f"resume={resume}: to continue a sweep, give hydra.sweep.dir=FOLDER resume=auto; "
            f"to continue one run, leave -m out"
        )
    if folder is not None:
        require_no_links(Path(folder))


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


# -- from the checked options to a run ---------------------------------------------------------


def prepare_run(options: TrainOptions, composed: DictConfig, words: Sequence[str]) -> Run:
    """Return the new or resumed run of checked options, without writing a file.

    Args:
        composed: the config from which the options were made.
        words: the flags and overrides of the command, as its user types them.
    """
    from charrnn.runs.run import Run

    resume = options.resume
    is_requeued = int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
    if resume is None and is_requeued and current_job.get_number() is not None:
        resume = "auto"  # submitit has put the job into the queue again
    words = [word for word in words if get_key(word) != "resume"]
    run = Run(
        config=_complete_config(composed, vars(options), {get_key(word) for word in words}),
        folder=current_job.get_folder(),
        words=words,
        given=[*dict.fromkeys(map(get_key, words))],
        choices=current_job.list_choices(GROUPS),
    )
    run = run if resume is None else _restore(run, resume)
    return replace(run, initial=_read_initial(run))


def _complete_config(composed: DictConfig, values: dict[str, Any], given: set[str]) -> DictConfig:
    """Return the composed config with the checked values and absolute paths.

    The references of conf/ stay, so that a resume which changes optimizer.lr changes one place.
    """
    config, raw = composed.copy(), flatten(OmegaConf.to_container(composed))
    checked = flatten(escape_interpolations(_resolve_paths({**values, "resume": None})))
    with open_dict(config):
        for name, value in checked.items():
            is_reference = has_interpolation(raw.get(name)) and name not in given
            is_changed = name in raw and not is_reference and raw[name] != value
            if is_changed or value == {}:  # ~callbacks and ~logger leave nothing
                OmegaConf.update(config, name, value)
    return config


def _restore(run: Run, resume: str) -> Run:
    """Return a run with the checkpoint and the recorded values of the run that it resumes."""
    if resume == "auto" and find_checkpoint(run.folder) is None:
        return replace(run, begins_again=True)
    is_repeated = resume == "auto"
    # It is read again, because only the words have come through Hydra.
    record = _read_record_with(run.folder if is_repeated else Path(resume), run.words)
    config = restore_config(run.config, record, run.given, run.choices, is_repeated)
    values: Any = OmegaConf.to_container(config, resolve=True)
    try:  # Recorded values are checked as typed ones are.
        build(TrainOptions, {**values, "resume": str(record.path)})
    except InputError as error:
        raise InputError(f"{record.path}: its recorded {error}") from error
    words = run.words if is_repeated else record.words
    return replace(run, config=config, record=record, words=words)


def _read_initial(run: Run) -> TrainedModel | None:
    """Return the model of `init_from`. A run that has a checkpoint no longer needs it."""
    name = run.config.init_from
    return None if name is None or run.record is not None else read_model(name)


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
