"""Compare a run's record with conf/: it may name the classes, options and interpolations there.

A record (the config of a run) may come from another person, and could name any class. Without
``trust=true`` it may therefore name only what conf/ names, and no path or URL outside its folder
except its text.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.runs.folder import Config, escape_interpolations, has_interpolation, select

GROUPS = ("data", "model", "trainer", "optimizer", "schedule", "callbacks", "logger")
# loggers that write only into the run's folder
LOCAL_LOGGERS = (
    "charrnn.training.MetricsCSV",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
)

# OmegaConf's loader takes 40 ms for conf/. libyaml is missing in some builds of PyYAML.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# the options of a target -> the values that they have in conf/, which are not resolved
Options = dict[str, list[Any]]


@functools.cache
def read_trusted() -> dict[tuple[str, str], Options]:
    """Return what the nodes of conf/ name, by their group and target."""
    trusted: dict[tuple[str, str], Options] = {}
    folders = plugins.list_conf_folders("train")
    for group in (*GROUPS, "base"):
        for path in (path for folder in folders for path in (folder / group).glob("*.yaml")):
            content = yaml.load(path.read_bytes(), Loader=_Loader)
            # base/data.yaml is a node of the group data.
            for name, node in list_nodes({path.stem if group == "base" else group: content}):
                if isinstance(node, dict) and "_target_" in node:
                    _add_values(trusted.setdefault(_make_key(name, node), {}), node)
    return trusted


@functools.cache
def read_top_level() -> Options:
    """Return the options of conf/train.yaml itself."""
    options: Options = {}
    content = (plugins.CONF / "train.yaml").read_bytes()
    _add_values(options, yaml.load(content, Loader=_Loader))
    return options


def _make_key(name: str, node: Config) -> tuple[str, str]:
    """Return the group and the target of a node."""
    return name.partition(".")[0], str(node.get("_target_"))


def _add_values(options: Options, node: Any) -> None:
    for option, value in node.items():
        options.setdefault(option, []).append(value)


def list_nodes(config: Config) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each node of a config."""
    for group in GROUPS:
        nodes: Any = {group: config.get(group)}
        if group in ("callbacks", "logger") and isinstance(nodes[group], dict):
            nodes = {f"{group}.{name}": node for name, node in nodes[group].items()}
        yield from ((name, node) for name, node in nodes.items() if node is not None)


def find_unknown(record: Config) -> Iterator[str]:
    """Yield the options of a record that charrnn's classes do not have."""
    for name, node in list_nodes(record):
        group, target = _make_key(name, node if isinstance(node, dict) else {"_target_": ""})
        known = read_trusted().get((group, target))
        if known is not None and target.startswith("charrnn."):
            yield from (f"{name}.{option}" for option in node if option not in known)


def find_untrusted(record: Config) -> Iterator[str]:
    """Yield the values of a record that could run code or access other files."""
    for name, node in list_nodes(record):
        yield from _find_untrusted_options(name, node)
    for name, value in record.items():
        is_known = name in GROUPS or value in read_top_level().get(name, ())
        is_nested = isinstance(value, dict) and name != "vars"
        if not is_known and (is_nested or _is_active(value)):
            yield f"{name}={value}"


def _find_untrusted_options(name: str, node: Any) -> Iterator[str]:
    """Yield the target of a node, or else its options, as far as conf/ does not name them."""
    group, target = _make_key(name, node if isinstance(node, dict) else {"_target_": ""})
    known = read_trusted().get((group, target))
    if known is None or (group == "logger" and target not in LOCAL_LOGGERS):
        yield f"{name}._target_={target}" if target else f"{name}={node}"
        return
    for option, value in node.items():
        values = known.get(option, [])
        is_trusted = not isinstance(value, dict) and not _is_active(value)
        if group != "data":  # which names its text
            # Where conf/ refers to the run's folder, no other place is trusted.
            is_place = isinstance(value, str) and any(map(has_interpolation, values))
            is_trusted = is_trusted and not is_place and not _is_outside(value)
        # +trainer.NAME=3
        is_declared = option in known or (group == "trainer" and isinstance(value, int | float))
        if value not in values and not (is_declared and is_trusted):
            yield f"{name}.{option}={value}"


def _is_active(value: Any) -> bool:
    """Return whether a value has an interpolation, or a node that could be built."""
    if isinstance(value, dict):
        return "_target_" in value or any(map(_is_active, value.values()))
    if isinstance(value, list):
        return any(isinstance(item, dict) or _is_active(item) for item in value)
    return has_interpolation(value)


def _is_outside(value: Any) -> bool:
    """Return whether a value is a place outside of the run's folder, or has one."""
    return any(map(_is_outside, value)) if isinstance(value, list) else is_outside(value)


def is_outside(value: Any) -> bool:
    """Return whether a value is a URL, or a path outside the folder in which it is used."""
    if not isinstance(value, str):
        return False
    parts = re.split(r"[/\\]", value)
    return "://" in value or os.path.isabs(value) or value[:1] == "~" or ".." in parts


def keep_interpolations(values: Mapping[str, Any], composed: DictConfig) -> DictConfig:
    """Return the checked values of a composed config, with the interpolations that conf/ has.

    So ``model.optimizer`` stays ``${optimizer}``, and a resume that changes ``optimizer.lr``
    changes a single place. Every other interpolation is resolved.
    """
    raw: Any = OmegaConf.to_container(composed)
    kept: Config = escape_interpolations(dict(values))
    _keep(kept, raw, read_top_level())
    for name, node in list_nodes(kept):
        _keep(node, select(raw, name), read_trusted().get(_make_key(name, node), {}))
    return OmegaConf.create(kept)


def _keep(node: Config, raw: Any, known: Options) -> None:
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if has_interpolation(value) and value in known.get(name, ()):
            node[name] = value
