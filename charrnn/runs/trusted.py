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

from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.runs.folder import MISSING_TEXT, Config, escape_interpolations

GROUPS = ("data", "model", "trainer", "optimizer", "schedule", "callbacks", "logger")
# loggers that write only into the run's folder
LOCAL_LOGGERS = (
    "charrnn.training.MetricsCSV",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
)
# ${...} after an even number of backslashes, which escape it
_INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")

# group and target -> each option of the target -> its values, which are not resolved
Trusted = dict[tuple[str, str], dict[str, list[Any]]]


@functools.cache
def read_trusted() -> Trusted:
    """Return what conf/ names. The options of train.yaml itself have the key ("", "")."""
    trusted: Trusted = {}
    for folder in plugins.list_conf_folders("train"):
        for path in folder.rglob("*.yaml"):
            group = path.parent.relative_to(folder).as_posix()
            content: Any = OmegaConf.to_container(OmegaConf.load(path))
            if group == "base":  # such as base/data.yaml
                content = {path.stem: content}
            nodes = [*list_nodes({group: content} if group in GROUPS else content)]
            if path == plugins.CONF / "train.yaml":
                nodes.append(("", {"_target_": "", **content}))
            for name, node in nodes:
                if isinstance(node, dict) and "_target_" in node:
                    options = trusted.setdefault((name.partition(".")[0], node["_target_"]), {})
                    for option, value in node.items():
                        options.setdefault(option, []).append(value)
    return trusted


def list_nodes(config: Config) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each node of a config."""
    for group in GROUPS:
        nodes: Any = {group: config.get(group)}
        if group in ("callbacks", "logger") and isinstance(nodes[group], dict):
            nodes = {f"{group}.{name}": node for name, node in nodes[group].items()}
        yield from ((name, node) for name, node in nodes.items() if node is not None)


def find_untrusted(record: Config) -> Iterator[str]:
    """Yield the values of a record that could run code or access other files."""
    trusted = read_trusted()
    for path, node in list_nodes(record):
        group = path.partition(".")[0]
        target = str(node.get("_target_")) if isinstance(node, dict) else ""
        known = trusted.get((group, target))
        if known is None or (group == "logger" and target not in LOCAL_LOGGERS):
            yield f"{path}._target_={target}" if target else f"{path}={node}"
            continue
        for key, value in node.items():
            is_number = group == "trainer" and isinstance(value, int | float)  # +trainer.NAME=
            if value in known.get(key, ()) or (is_number and key not in known):
                continue
            # Where conf/ refers to the run's folder, no other place is trusted.
            is_place = isinstance(value, str) and any(map(has_interpolation, known.get(key, ())))
            if key not in known or is_place or _is_unsafe(value, may_be_path=group == "data"):
                yield f"{path}.{key}={value}"
    known = trusted["", ""]
    for name, value in record.items():
        if name not in GROUPS and value not in known.get(name, ()):
            is_nested = isinstance(value, dict) and name != "vars"
            if is_nested or _is_unsafe(value, may_be_path=True, may_be_dict=True):
                yield f"{name}={value}"


def _is_unsafe(value: Any, may_be_path: bool, may_be_dict: bool = False) -> bool:
    """Return whether a value has an interpolation, a node, a URL or a path outside the folder."""
    if isinstance(value, dict):
        if not may_be_dict or "_target_" in value:
            return True
        value = list(value.values())
    if isinstance(value, list):
        return any(_is_unsafe(item, may_be_path, may_be_dict) for item in value)
    if not isinstance(value, str):
        return False
    return has_interpolation(value) or (not may_be_path and is_outside(value))


def has_interpolation(value: Any) -> bool:
    """Return whether a value is a text in which OmegaConf resolves ``${...}``."""
    is_text = isinstance(value, str) and value != MISSING_TEXT
    return is_text and _INTERPOLATION.search(value) is not None


def is_outside(value: str) -> bool:
    """Return whether a value is a URL, or a path outside the folder in which it is used."""
    parts = re.split(r"[/\\]", value)
    return "://" in value or os.path.isabs(value) or value[:1] == "~" or ".." in parts


def keep_interpolations(values: Mapping[str, Any], composed: DictConfig) -> DictConfig:
    """Return the checked values of a composed config, with the interpolations that conf/ has.

    A resume that changes ``optimizer.lr`` or ``checkpoint_every`` so changes a single place.
    """
    raw: Any = OmegaConf.to_container(composed, resolve=False)
    kept: Config = escape_interpolations(dict(values))
    trusted = read_trusted()
    places = [(kept, raw, trusted["", ""])]
    for path, node in list_nodes(kept):
        group, _, name = path.partition(".")
        source = raw[group][name] if name else raw[group]
        known = trusted.get((group, str(node["_target_"])), {})
        places.append((node, source, known))
    for node, source, known in places:
        for key, value in source.items() if isinstance(source, dict) else ():
            if isinstance(value, str) and has_interpolation(value) and value in known.get(key, ()):
                node[key] = value
    return OmegaConf.create(kept)
