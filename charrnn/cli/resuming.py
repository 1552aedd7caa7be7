"""How a run begins, and how it goes on.

a new run         the folder that Hydra made
resume=FOLDER     the same folder, its recorded config, its newest whole checkpoint
resume=X.ckpt     a new folder, the config in the checkpoint
resume=auto       the newest unfinished run of the same words, else a new one; where the folder was
                  named, and in a sweep, that one: gone on with, or begun

A record is a main config of Hydra's, over which today's words are composed as over
conf/train.yaml. Whoever made it: it names only classes that conf/ names, with options that charrnn
declares, and no place or address outside its folder but its text. ``trust=true`` takes it as it
stands.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from charrnn import plugins
from charrnn.cli import conf
from charrnn.cli.checked_options import build, options_with
from charrnn.cli.command_line import key_of
from charrnn.cli.front import Job
from charrnn.errors import InputError, short
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.datasets import without_default_corpus
from charrnn.options.ranges import FIXED, override_value
from charrnn.options.training import TrainOptions
from charrnn.runs import folder as folders
from charrnn.runs import world
from charrnn.runs.recorded_config import MISSING, Config, escaped, leaves, plain, select, update
from charrnn.runs.spec import RunSpec
from charrnn.text.corpora import CORPORA
from charrnn.text.sources import names_of
from charrnn.training.checkpoints import LAST

MAIN_CONFIG = "charrnn_recorded_run"  # in Hydra's ConfigStore
_COMPLETE = ("data", "model", "trainer")  # nodes that get what is new since they were recorded
_SINGLE = (*_COMPLETE, "optimizer", "schedule")
_GROUPS = (*_SINGLE, "callbacks", "logger")
# loggers that write into the run's folder only
_LOCAL = (
    "charrnn.training.MetricsCSV",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
)
# arguments of lightning.Trainer that decide how it is trained, beside those in conf/
_OF_TRAINING = frozenset(
    {"accumulate_grad_batches", "benchmark", "detect_anomaly", "deterministic", "fast_dev_run",
     "inference_mode", "limit_train_batches", "limit_val_batches", "max_time", "min_epochs",
     "min_steps", "overfit_batches", "sync_batchnorm"}
)  # fmt: skip


# A record, and the words over it


def read_record(path: str) -> Config:
    """What a run was begun with, of its folder or of a checkpoint.

    Raises:
        InputError: it cannot be read, or is no record.
    """
    if os.path.isdir(path):
        return folders.recorded(Path(path))
    entry = checkpoint.read_run(Path(path))[ENTRY]
    if not isinstance(entry["config"], dict):
        raise InputError(f"{path}: is no record of a run")
    recorded: Config = plain(entry["config"], path)
    return recorded


def compose_over(record: Config, source: str, words: Sequence[str]) -> str:
    """Put a record where Hydra finds it; the name of the main config.

    Args:
        source: the file, for what is said of it.
        words: that are composed over it.

    Raises:
        InputError: it holds what a stranger's may not, and nobody says that it may.
    """
    ours: Any = OmegaConf.to_container(OmegaConf.load(plugins.CONF / "train.yaml"))
    groups = {key_of(word) for word in words} & conf.page("train").groups.keys()
    record = {name: node for name, node in record.items() if name not in groups}
    if unknown := sorted(record.keys() - {option.name for option in fields(TrainOptions)}):
        raise InputError(f"{source}: {short(unknown[0])} is no option of charrnn train")
    if "trust=true" not in words and (refused := next(untrusted(record), None)):
        raise InputError(
            f"{source}: its {short(refused)} is not taken from a record; if you trust it, "
            f"add trust=true"
        )
    ours["defaults"] = [
        "base/run_folder",
        *(f"/base/{name}@{name}" for name in _COMPLETE),
        *({group: None} for group in _GROUPS),
        "_self_",
        *({group: None} for group in conf.WITHOUT_A_NODE),
        *({f"override hydra/{name}_logging": "stderr"} for name in ("job", "hydra")),
    ]
    # what is new since then has its default; from whom it started is not asked for again
    own = {"resume": None, "init_from": None, "budget": None, "trust": False}
    main = OmegaConf.create({**ours, **escaped(record), **own})
    ConfigStore.instance().store(MAIN_CONFIG, main)
    return MAIN_CONFIG


def untrusted(record: Config) -> Iterator[str]:
    """What a record has that is more than a choice among what conf/ names."""
    options_of: dict[Any, set[str]] = {}  # target -> its options
    for targets in conf.page("train").targets.values():
        for name, options in targets.items():
            options_of[name] = options_of.get(name, set()) | options
    for path, node in _nodes(record):
        group = path.partition(".")[0]
        target = node.get("_target_") if isinstance(node, dict) else node
        if str(target) not in options_of or (group == "logger" and target not in _LOCAL):
            yield f"{path}._target_={target}"
            continue
        allowed = options_of[target] | {"_target_", "_partial_"}
        allowed |= _OF_TRAINING if group == "trainer" else set()
        for key, value in node.items():
            external = isinstance(value, dict) if group == "data" else _is_external(value)
            if key not in allowed or external:
                yield f"{path}.{key}={value}"
    for name, value in record.items():
        if name not in _GROUPS and isinstance(value, dict):
            yield name


def _nodes(record: Config) -> Iterator[tuple[str, Any]]:
    """The nodes of a record, each with its dotted path."""
    for group in _GROUPS:
        node = record.get(group)
        if group in _SINGLE or not isinstance(node, dict):
            nodes = {group: node}
        else:
            nodes = {f"{group}.{name}": part for name, part in node.items()}
        yield from ((path, part) for path, part in nodes.items() if part is not None)


def _is_external(value: Any) -> bool:
    """Whether a value is more than plain, or a text that could be a place or an address."""
    if isinstance(value, list):
        return any(map(_is_external, value))
    if not isinstance(value, str):
        return isinstance(value, dict)
    parts = re.split(r"[/\\]", value)
    return "://" in value or os.path.isabs(value) or value[:1] == "~" or ".." in parts


# The run that is asked for


def run_of(config: TrainOptions, job: Job) -> RunSpec:
    """The run that is asked for.

    Raises:
        InputError: it cannot begin so; nothing is written or removed then.
    """
    given = tuple(dict.fromkeys(key_of(word) for word in job.overrides))
    resume = config.resume or ""
    if not resume and job.number is not None and world.restarted_by_slurm():
        resume = "auto"
    if resume in ("", "auto"):
        config = absolute(config, given)
        before = _unfinished(job) if resume == "auto" else None
        if before is None:
            folders.refuse_run(job.folder)
            return _spec(config, job.folder, None, job, (*given, *_other_than_default(config)))
        if before != job.folder:
            folders.unmake(job.folder)
        config = going_on(config, folders.recorded(before), ())
        return _spec(config, before, before, job, given)
    target = Path(resume).resolve()
    if target.is_dir() and not (target / folders.RECORDED).is_file():
        raise InputError(
            f"{resume}: not a run folder (it has no {folders.RECORDED}); "
            f"give one that `charrnn train` made, or a .ckpt"
        )
    config = going_on(absolute(config, ()), read_record(resume), given)
    folder = target if target.is_dir() else job.folder
    return _spec(config, folder, target, job, given)


def _other_than_default(config: TrainOptions) -> Iterator[str]:
    """The options of the network that a file of one's own may have set: they count as given."""
    for name, option in conf.page("train").options.items():
        value = getattr(config.model, name.removeprefix("model."), None)
        if name.startswith("model.") and override_value(value) != option.default:
            yield name


def _spec(
    config: TrainOptions, folder: Path, source: Path | None, job: Job, given: tuple[str, ...]
) -> RunSpec:
    trust = " trust=true" if any(untrusted(config.plain())) else ""
    return RunSpec(config, folder, source, given, job.overrides, job.hydra, trust)


def going_on(config: TrainOptions, record: Config, given: Collection[str]) -> TrainOptions:
    """Today's config with what was decided when the run was begun.

    Args:
        given: the options that today's words set.

    Raises:
        InputError: names an option that a resume cannot change.
    """
    values = config.plain()
    for key, value in list(leaves(values)):
        open_today = value is None or value == "auto"
        then = select(record, key)
        if open_today and key not in given and then is not MISSING and not _is_external(then):
            update(values, key, then)
    for key in ("init_from", "budget"):
        values[key] = record.get(key)
    _refuse_changes(record, values, given)
    values["data"] = without_default_corpus(values["data"], ())
    # what it started from need not be there any more
    schema = plugins.options_of("train")
    made: TrainOptions = build(schema, {**values, "init_from": None, "budget": None})
    return replace(made, init_from=values["init_from"], budget=values["budget"], resume=None)


def _refuse_changes(before: Config, after: Config, given: Collection[str]) -> None:
    """Refuse what makes another run of it, the kind of a thing before its sizes."""
    names = options_with("train", FIXED) | {"optimizer._target_", "model._target_"}
    for key in sorted(names, key=lambda n: (not n.endswith(("kind", "_target_")), n)):
        if (old := select(before, key)) is not MISSING and old != select(after, key):
            raise InputError(
                f"{key}={select(after, key)}: a resume cannot change it (the run has {old}); "
                f"leave it out, or start anew, with init_from= for the weights"
            )
    # only our own schedules follow a new learning rate; others go on as they were saved
    target = str(select(after, "schedule._target_"))
    for key in given if not target.startswith("charrnn.") else ():
        changes = key.split(".")[0] in ("optimizer", "schedule")
        if changes and select(before, key) != select(after, key):
            raise InputError(
                f"{key}: a resume cannot change it under {target}, which goes on as it was saved; "
                f"leave it out, or start anew with init_from="
            )


def absolute(config: TrainOptions, given: Collection[str]) -> TrainOptions:
    """The config with one text, its paths absolute, so that a resume may stand in any folder."""
    values = config.plain()
    data = values["data"] = without_default_corpus(values["data"], given)
    for name in ("input_txt", "input_h5", "input_json"):
        data[name] = _absolute(data[name])
    if data["background"] is not None:
        names = names_of(data["background"])
        data["background"] = [n if n in CORPORA else os.path.abspath(n) for n in names]
    if config.init_from is not None:
        # outputs/latest will be another run once this one has begun
        values["init_from"] = os.path.realpath(config.init_from)
    return TrainOptions.of({**values, "resume": None})


def _absolute(path: Any) -> Any:
    if isinstance(path, list):
        return [os.path.abspath(each) for each in path]
    return None if path is None else os.path.abspath(path)


def _unfinished(job: Job) -> Path | None:
    """What resume=auto goes on with: the run in the folder that was named, else the newest one that
    has something left to do and was begun by the same words."""
    if job.has_own_folder:
        return job.folder if (job.folder / folders.RECORDED).is_file() else None
    from charrnn.runs.summary import overrides  # what reads a table of runs, for this alone

    words = {word for word in job.overrides if key_of(word) not in ("resume", "trust")}
    for folder in folders.run_folders(job.folder.parent.parent):
        before = {w for w in overrides(folder) if key_of(w) not in ("resume", "trust")}
        if before == words and not _is_finished(folder / "checkpoints" / LAST):
            return folder
    return None


def _is_finished(path: Path) -> bool:
    with contextlib.suppress(InputError):
        return path.exists() and bool(checkpoint.read_run(path)[ENTRY]["finished"])
    return False
