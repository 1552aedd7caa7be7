"""How a run begins, and how it goes on.

a new run         the folder that Hydra made
resume=FOLDER     the same folder, its recorded config, its last.ckpt, or best.ckpt without one
resume=X.ckpt     a new folder, the config in the checkpoint
resume=auto       the folder that was named, or that of a sweep's job: gone on with, or begun

A record is a main config of Hydra's, over which today's words are composed as over
conf/train.yaml. Whoever made it: it names only classes that conf/ names, with options that charrnn
declares, and no place or address outside its folder but its text. ``trust=true`` takes it as it
stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from charrnn import plugins
from charrnn.cli import conf
from charrnn.cli.checked_options import build, options_with
from charrnn.cli.command_line import Line
from charrnn.cli.front import Job
from charrnn.errors import InputError, shorten
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.datasets import without_default_corpus
from charrnn.options.ranges import FIXED
from charrnn.options.training import TrainOptions
from charrnn.runs import folder as folders
from charrnn.runs import world
from charrnn.runs.folder import MISSING, Config, escape_interpolations, select, to_plain
from charrnn.runs.model_lookup import read_model
from charrnn.runs.plan import RunRequest
from charrnn.text.corpora import CORPORA
from charrnn.text.sources import as_name_list

MAIN_CONFIG = "charrnn_recorded_run"  # in Hydra's ConfigStore
_COMPLETE = ("data", "model", "trainer")  # nodes that get what is new since they were recorded
_GROUPS = (*_COMPLETE, "optimizer", "schedule", "callbacks", "logger")
# loggers that write into the run's folder only
_LOCAL = (
    "charrnn.training.MetricsCSV",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
)


# A record, and the words over it


def read_record(path: str) -> Config:
    """What a run was begun with, of its folder or of a checkpoint.

    Raises:
        InputError: it cannot be read, or is no record.
    """
    if os.path.isdir(path):
        return folders.read_config(Path(path))
    entry = checkpoint.read_run(Path(path))[ENTRY]
    if not isinstance(entry["config"], dict):
        raise InputError(f"{path}: is no record of a run")
    recorded: Config = to_plain(entry["config"], path)
    return recorded


def compose_over_record(line: Line, source: str) -> Line:
    """Return the line with a record as its main config, which Hydra finds in its ConfigStore.

    Args:
        source: the run folder, or the checkpoint.

    Raises:
        InputError: the record holds values that a stranger's may not, without ``trust=true``.
    """
    ours: Any = OmegaConf.to_container(OmegaConf.load(plugins.CONF / "train.yaml"))
    groups = {override.key for override in line.overrides} & conf.page("train").groups.keys()
    record = {name: node for name, node in read_record(source).items() if name not in groups}
    if unknown := sorted(record.keys() - {option.name for option in fields(TrainOptions)}):
        raise InputError(f"{source}: {shorten(unknown[0])} is no option of charrnn train")
    is_trusted = str(line.find_last("trust").value).lower() == "true"
    if not is_trusted and (refused := next(untrusted(record), None)):
        raise InputError(
            f"{source}: its {shorten(refused)} is not taken from a record; if you trust it, "
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
    main = OmegaConf.create({**ours, **escape_interpolations(record), **own})
    ConfigStore.instance().store(MAIN_CONFIG, main)
    # An option that was added when the run began exists in its record.
    line = line.map_overrides(lambda o: replace(o, prefix="++") if o.prefix == "+" else o)
    return replace(line, main_config=MAIN_CONFIG)


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
        for key, value in node.items():
            is_number = group == "trainer" and isinstance(value, int | float)  # +trainer.NAME=
            external = isinstance(value, dict) if group == "data" else _is_external(value)
            if (key not in allowed and not is_number) or external:
                yield f"{path}.{key}={value}"
    yield from (n for n, v in record.items() if n not in _GROUPS and isinstance(v, dict))


def _nodes(record: Config) -> Iterator[tuple[str, Any]]:
    """The nodes of a record that are there, each with its dotted path."""
    for group in _GROUPS:
        node, nodes = record.get(group), {group: record.get(group)}
        if group in ("callbacks", "logger") and isinstance(node, dict):
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


def run_of(config: TrainOptions, job: Job) -> RunRequest:
    """The run that is asked for.

    Raises:
        InputError: it cannot begin so; nothing is written or removed then.
    """
    given = job.given
    source, folder, resume = None, job.folder, config.resume or ""
    if not resume and job.number is not None and world.is_restarted_by_slurm():
        resume = "auto"
    if resume not in ("", "auto"):
        source = Path(resume).resolve()
        if source.is_dir() and not (source / folders.RECORDED).is_file():
            raise InputError(
                f"{resume}: not a run folder (it has no {folders.RECORDED}); "
                f"give one that `charrnn train` made, or a .ckpt"
            )
        record = read_record(resume)
        if job.hydra["job"]["config_name"] != MAIN_CONFIG:
            raise InputError(
                f"resume={resume}: a resume is given on the command line, without ${{...}}"
            )
        config = going_on(absolute(config, ()), record, given)
        folder = source if source.is_dir() else folder
    elif resume == "auto" and (folder / folders.RECORDED).is_file():
        source, config = folder, going_on(absolute(config, given), folders.read_config(folder), ())
    else:
        folders.require_no_run(folder)
        config = absolute(config, given)
    trust = " trust=true" if any(untrusted(config.plain())) else ""
    # a run that has a checkpoint does not start again from another model
    is_begun = source is not None and (source.is_file() or folders.find_checkpoint(source))
    initial = None if config.init_from is None or is_begun else read_model(config.init_from)
    return RunRequest(config, folder, source, given, job.overrides, job.hydra, initial, trust)


def going_on(config: TrainOptions, record: Config, given: Collection[str]) -> TrainOptions:
    """Today's config with what was decided when the run was begun.

    Args:
        given: the options that today's words set.

    Raises:
        InputError: names an option that a resume cannot change.
    """
    values = config.plain()
    _decide_as_before(values, record, given)
    values |= {key: record.get(key) for key in ("init_from", "budget")}
    _refuse_changes(record, values, given)
    values["data"] = without_default_corpus(values["data"], ())
    # what it started from need not be there any more
    made: TrainOptions = build(TrainOptions, {**values, "init_from": None, "budget": None})
    return replace(made, init_from=values["init_from"], budget=values["budget"], resume=None)


def _decide_as_before(
    config: Config, record: Config, given: Collection[str], prefix: str = ""
) -> None:
    """Give what today's config leaves open the value that it has in the record."""
    for name in config.keys() & record.keys():
        now, then, key = config[name], record[name], f"{prefix}{name}"
        if isinstance(now, dict) and isinstance(then, dict):
            _decide_as_before(now, then, given, f"{key}.")
        elif now in (None, "auto") and key not in given and not _is_external(then):
            config[name] = then


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
        path = data[name]
        is_list = isinstance(path, list)
        data[name] = [*map(os.path.abspath, path)] if is_list else path and os.path.abspath(path)
    if data["background"] is not None:
        names = as_name_list(data["background"])
        data["background"] = [n if n in CORPORA else os.path.abspath(n) for n in names]
    if config.init_from is not None:
        # outputs/latest will be another run once this one has begun
        values["init_from"] = os.path.realpath(config.init_from)
    return TrainOptions.of({**values, "resume": None})
