"""Start a new run, or resume a run with its recorded config.

a new run         a new folder
resume=FOLDER     the same folder, its recorded config, and its last.ckpt, else its best.ckpt
resume=X.ckpt     a new folder, and the config in the checkpoint
resume=auto       hydra.run.dir or the job's folder: resume its run, or start a run in it

The record of a run (its config) replaces conf/train.yaml as Hydra's main config. A record from
another person could run code. Without ``trust=true`` it may therefore contain only classes from
conf/, options that charrnn declares, and no path or URL outside its folder except its text.
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
from charrnn.cli import help_page
from charrnn.cli.checked_options import build, list_options
from charrnn.cli.command_line import Line
from charrnn.cli.front import Job
from charrnn.errors import InputError, shorten
from charrnn.models import checkpoint
from charrnn.options.datasets import without_default_corpus
from charrnn.options.ranges import FIXED, get_traits
from charrnn.options.training import TrainOptions
from charrnn.runs import folder as folders
from charrnn.runs import world
from charrnn.runs.folder import MISSING, Config, escape_interpolations, select, to_plain
from charrnn.runs.model_lookup import read_model
from charrnn.runs.plan import RunRequest
from charrnn.text.corpora import CORPORA
from charrnn.text.sources import as_name_list

MAIN_CONFIG = "charrnn_recorded_run"  # its name in Hydra's ConfigStore
_TYPED_NODES = ("data", "model", "trainer")  # Options that a record lacks get their defaults.
_GROUPS = (*_TYPED_NODES, "optimizer", "schedule", "callbacks", "logger")
# loggers that write only into the run's folder
_LOCAL_LOGGERS = (
    "charrnn.training.MetricsCSV",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
)


def read_record(path: str) -> Config:
    """Return the recorded config of a run folder or a checkpoint."""
    if os.path.isdir(path):
        return folders.read_config(Path(path))
    return to_plain(checkpoint.read_run(Path(path))[checkpoint.ENTRY]["config"], path)


def compose_over_record(line: Line, source: str) -> Line:
    """Store the record of a run folder or a checkpoint as Hydra's main config.

    Return the line that uses it. Raise InputError if the record needs ``trust=true``.
    """
    if not os.path.isfile(source) and not os.path.lexists(Path(source) / folders.RECORDED):
        return line  # `prepare_run` raises the error.
    main: Any = OmegaConf.to_container(OmegaConf.load(plugins.CONF / "train.yaml"))
    given = {override.key for override in line.overrides}
    groups = given & help_page.read_page("train").groups.keys()
    record = {name: node for name, node in read_record(source).items() if name not in groups}
    if unknown := sorted(record.keys() - {option.name for option in fields(TrainOptions)}):
        raise InputError(f"{source}: {shorten(unknown[0])} is not an option of charrnn train")
    is_trusted = str(line.find_last("trust").value).lower() == "true"
    if not is_trusted and (value := next(find_untrusted(record), None)):
        raise InputError(
            f"{source}: its recorded {shorten(value)} could run foreign code or reach other "
            f"places; if you trust this run, add trust=true"
        )
    main["defaults"] = [
        "base/run_folder",
        *(f"/base/{name}@{name}" for name in _TYPED_NODES),
        *({group: None} for group in _GROUPS),
        "_self_",
        *({group: None} for group in help_page.WITHOUT_A_NODE),
        *({f"override hydra/{name}_logging": "stderr"} for name in ("job", "hydra")),
    ]
    # The resumed run keeps init_from and budget of its record (see `restore_options`).
    unset = {"resume": None, "init_from": None, "budget": None, "trust": False}
    config = OmegaConf.create({**main, **escape_interpolations(record), **unset})
    ConfigStore.instance().store(MAIN_CONFIG, config)
    # An option that the first command line added with "+" exists in the record.
    line = line.map_overrides(lambda o: replace(o, prefix="++") if o.prefix == "+" else o)
    return replace(line, main_config=MAIN_CONFIG)


def find_untrusted(record: Config) -> Iterator[str]:
    """Yield the values of a record that could run code or access other files."""
    arguments_of: dict[tuple[str, str], set[str]] = {}  # group and target -> the target's arguments
    for path, targets in help_page.read_page("train").targets.items():
        for target, arguments in targets.items():
            arguments_of.setdefault((path.partition(".")[0], target), set()).update(arguments)
    for path, node in _list_nodes(record):
        group = path.partition(".")[0]
        target = str(node.get("_target_")) if isinstance(node, dict) else ""
        is_local = group != "logger" or target in _LOCAL_LOGGERS
        if (group, target) not in arguments_of or not is_local:
            yield f"{path}._target_={target}" if target else f"{path}={node}"
            continue
        allowed = arguments_of[group, target] | {"_target_", "_partial_"}
        for key, value in node.items():
            is_number = group == "trainer" and isinstance(value, int | float)  # +trainer.NAME=
            external = isinstance(value, dict) if group == "data" else _is_external(value)
            if (key not in allowed and not is_number) or external:
                yield f"{path}.{key}={value}"
    yield from (n for n, v in record.items() if n not in _GROUPS and isinstance(v, dict))


def _list_nodes(record: Config) -> Iterator[tuple[str, Any]]:
    """Yield each node of a record with its dotted path."""
    for group in _GROUPS:
        nodes: Any = {group: record.get(group)}
        if group in ("callbacks", "logger") and isinstance(nodes[group], dict):
            nodes = {f"{group}.{name}": node for name, node in nodes[group].items()}
        yield from ((path, node) for path, node in nodes.items() if node is not None)


def _is_external(value: Any) -> bool:
    """Return whether a value contains a dict, a URL, or a path outside the run's folder."""
    if isinstance(value, list):
        return any(map(_is_external, value))
    if not isinstance(value, str):
        return isinstance(value, dict)
    parts = re.split(r"[/\\]", value)
    return "://" in value or os.path.isabs(value) or value[:1] == "~" or ".." in parts


def prepare_run(config: TrainOptions, job: Job) -> RunRequest:
    """Return the request for a new or resumed run, without writing a file."""
    given = job.given
    source, folder, resume = None, job.folder, config.resume or ""
    if not resume and job.number is not None and world.is_restarted_by_slurm():
        resume = "auto"
    if resume not in ("", "auto"):
        source = Path(resume).resolve()
        if source.is_dir() and not (source / folders.RECORDED).is_file():
            raise InputError(
                f"{resume}: is not a run folder (it has no {folders.RECORDED}); "
                f"name a folder that `charrnn train` created, or a .ckpt"
            )
        record = read_record(resume)
        if job.hydra["job"]["config_name"] != MAIN_CONFIG:
            raise InputError(f"resume={resume}: set resume= on the command line, without ${{...}}")
        config = restore_options(resolve_paths(config, ()), record, given)
        folder = source if source.is_dir() else folder
    elif resume == "auto" and (folder / folders.RECORDED).is_file():
        source, record = folder, folders.read_config(folder)
        config = restore_options(resolve_paths(config, given), record, ())
    else:
        folders.require_no_run(folder)
        config = resolve_paths(config, given)
    trust = " trust=true" if any(find_untrusted(config.to_dict())) else ""
    # A run that has a checkpoint no longer needs the model from which it started.
    has_checkpoint = source is not None and (source.is_file() or folders.find_checkpoint(source))
    initial = None if config.init_from is None or has_checkpoint else read_model(config.init_from)
    return RunRequest(config, folder, source, given, job.overrides, job.hydra, initial, trust)


def restore_options(config: TrainOptions, record: Config, given: Collection[str]) -> TrainOptions:
    """Return the config of the command line with the decisions of the recorded run."""
    values = config.to_dict()
    _restore_decisions(values, record, given)
    values |= {key: record.get(key) for key in ("init_from", "budget")}
    _refuse_changes(record, values, given)
    values["data"] = without_default_corpus(values["data"], ())
    # init_from may name a deleted model, and `budget` was spent on deciding. Neither is checked
    # again, and both stay in the record.
    options: TrainOptions = build(TrainOptions, {**values, "init_from": None, "budget": None})
    return replace(options, init_from=values["init_from"], budget=values["budget"], resume=None)


def _restore_decisions(
    config: Config, record: Config, given: Collection[str], prefix: str = ""
) -> None:
    """Replace values that are open (None or auto) by the values of the record."""
    for name in config.keys() & record.keys():
        value, recorded, key = config[name], record[name], f"{prefix}{name}"
        if isinstance(value, dict) and isinstance(recorded, dict):
            _restore_decisions(value, recorded, given, f"{key}.")
        elif value in (None, "auto") and key not in given and not _is_external(recorded):
            config[name] = recorded


def _refuse_changes(record: Config, config: Config, given: Collection[str]) -> None:
    """Raise InputError if an option changed that a resume cannot change."""
    options = list_options(TrainOptions)
    fixed = {name for name, annotation in options if FIXED in get_traits(annotation)}
    fixed |= {"optimizer._target_", "model._target_"}
    # A different kind of network is reported before its different size.
    for key in sorted(fixed, key=lambda name: (not name.endswith(("kind", "_target_")), name)):
        if (old := select(record, key)) is not MISSING and old != select(config, key):
            raise InputError(
                f"{key}={select(config, key)}: a resume cannot change it (the run has {old}); "
                f"leave it out, or start a new run from the weights with init_from="
            )
    # Schedules of other packages resume as they were saved, with their learning rate.
    target = str(select(config, "schedule._target_"))
    for key in given if not target.startswith("charrnn.") else ():
        is_schedule = key.split(".")[0] in ("optimizer", "schedule")
        if is_schedule and select(record, key) != select(config, key):
            raise InputError(
                f"{key}: a resume cannot change it, because {target} resumes as it was saved; "
                f"leave it out, or start a new run with init_from="
            )


def resolve_paths(config: TrainOptions, given: Collection[str]) -> TrainOptions:
    """Return the config as a run records it, so that it can resume in another folder.

    All paths are absolute. There is no `resume`, and no default corpus beside another text.
    """
    data, init_from = without_default_corpus(vars(config.data), given), config.init_from
    for name in ("input_txt", "input_h5", "input_json"):
        path = data[name]
        is_list = isinstance(path, list)
        data[name] = [*map(os.path.abspath, path)] if is_list else path and os.path.abspath(path)
    if data["background"] is not None:
        names = as_name_list(data["background"])
        data["background"] = [n if n in CORPORA else os.path.abspath(n) for n in names]
    if init_from is not None:
        init_from = os.path.realpath(init_from)  # outputs/latest will be a link to the new run.
    return replace(config, data=replace(config.data, **data), init_from=init_from, resume=None)
