"""What a run was begun with, as plain data: it may be somebody else's, or an older version's.

Nothing of it is composed, interpolated, imported or fetched. It says which choices were taken
and which nodes and values there were; what is built comes from what is composed today.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charrnn import plugins
from charrnn.errors import InputError, shown
from charrnn.options.networks import Regularization

Config = dict[str, Any]
Choice = str | list[str]
MISSING = object()
# what Hydra's instantiate reads of a node itself
OF_HYDRA = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_DEEPEST, _MOST = 30, 100_000  # of nested values, and of values in all


@dataclass(frozen=True)
class Record:
    """A run's record.

    Attributes:
        config: every node with its ``_target_``, and every value.
        choices: group -> the name or names chosen in it; empty where an older version wrote it.
        source: the file, for what is said of it.
    """

    config: Config
    choices: Mapping[str, Choice]
    source: str


def record_of(config: Any, choices: Any, source: str) -> Record:
    """A record of what a file holds; raises InputError for more than names and plain values."""
    if not isinstance(config, dict) or not isinstance(choices, dict):
        raise InputError(f"{source}: is no record of a run")
    for group, choice in choices.items():
        if not is_choice(group, choice):
            raise InputError(f"{source}: its choice {shown(group)}={shown(choice)} is no name")
    return Record(plain(config, source), choices, source)


def is_choice(group: Any, choice: Any) -> bool:
    """Whether a group of conf/ and what is chosen in it are names."""
    names = choice if isinstance(choice, list) else [choice]
    known = all(isinstance(name, str) and _NAME.fullmatch(name) for name in (group, *names))
    return known and group.partition("/")[0] != "hydra"


def plain(value: Any, source: str) -> Any:
    """A copy of plain values: texts, numbers, lists, and mappings of them.

    Raises:
        InputError: there is something else, or more than a config can hold, as where it
            refers to itself.
    """
    left = _MOST

    def copied(value: Any, name: str, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise InputError(f"{source}: holds more values than any config, or refers to itself")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, list | tuple):
            return [copied(part, name, depth + 1) for part in value]
        if not isinstance(value, dict) or not all(type(key) in (str, int) for key in value):
            raise InputError(f"{source}: its {shown(name)} is no plain value")
        parts = ((str(key), part) for key, part in value.items())
        return {key: copied(part, f"{name}.{key}".lstrip("."), depth + 1) for key, part in parts}

    return copied(value, "", 0)


def found(config: Any, key: str) -> Any:
    """The value of a dotted key; MISSING where there is none."""
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return MISSING
        config = config[part]
    return config


def leaves(config: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys of a config with their values, those of mappings aside."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def put(config: Config, key: str, value: Any) -> None:
    """Set a dotted key, or remove it for MISSING; raises InputError where it is below a value."""
    *parents, last = key.split(".")
    for parent in parents:
        config = config.setdefault(parent, {})
        if not isinstance(config, dict):
            raise InputError(f"{shown(key)}: the run has no such option to change")
    if value is MISSING:
        config.pop(last, None)
    else:
        config[last] = value


# -- Configs of older versions, as today's would have recorded them. Until version 0.2 a config
# named its optimizer, schedule and loggers by words.


# options that are new since a config was recorded, as what was done before them
DEFAULTS_OF_OLDER_RUNS = {
    "data.line_ends": "keep",
    "data.lines": "keep",
    "data.shuffle": False,
    "model.layernorm": False,
    "model.skip": "none",
    **{f"model.{name}": value for name, value in asdict(Regularization()).items()},
}
# what version 0.1 called by a name, and the options that it has of those that were there
OPTIMIZERS = {
    "adam": ("torch.optim.Adam", ("lr", "eps", "weight_decay")),
    "adamw": ("torch.optim.AdamW", ("lr", "eps", "weight_decay")),
    "rmsprop": ("torch.optim.RMSprop", ("lr", "alpha", "eps", "weight_decay")),
}
SCHEDULES = {
    "step": ("decay_every", "decay_factor", "warmup_steps"),
    "cosine": ("final_factor", "warmup_steps"),
    "constant": ("warmup_steps",),
}


def upgraded(config: Config, source: str) -> Config:
    """A recorded config in today's form.

    Args:
        source: where it was recorded, for what is said of it.

    Raises:
        InputError: it is none that any version wrote.
    """
    config = copy.deepcopy(config)
    try:
        if isinstance(config.get("optimizer"), dict) and "name" in config["optimizer"]:
            config |= _of_version_0_1(config)
        for key, value in DEFAULTS_OF_OLDER_RUNS.items():
            if (
                isinstance(config.get(key.partition(".")[0]), dict)
                and found(config, key) is MISSING
            ):
                put(config, key, value)
        callbacks, moved = config.get("callbacks"), plugins.moved()
        for node in callbacks.values() if isinstance(callbacks, dict) else ():
            if isinstance(node, dict) and node.get("_target_") in moved:
                node["_target_"] = moved[node["_target_"]]
        return config
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"{source}: its config is none that charrnn wrote ({what})") from error


def choices_of_0_1(config: Config) -> dict[str, Choice]:
    """What version 0.1 recorded, as the choices of today's groups; none of a later record."""
    names = {group: config[group] for group in ("optimizer", "schedule") if group in config}
    choices: dict[str, Choice] = {
        group: str(node["name"])
        for group, node in names.items()
        if isinstance(node, dict) and "name" in node
    }
    if "optimizer" in choices:
        patience, board = found(config, "callbacks.patience"), found(config, "logger.tensorboard")
        choices["callbacks"] = "default" if patience in (None, MISSING) else "early_stopping"
        choices["logger"] = "default" if board is True else "csv"
    return {group: name for group, name in choices.items() if is_choice(group, name)}


def _of_version_0_1(config: Config) -> Config:
    optimizer, schedule = config["optimizer"], config["schedule"]
    callbacks, loggers = config["callbacks"], config["logger"]
    target, names = OPTIMIZERS[optimizer["name"]]
    further: Config = {"foreach": True}
    if optimizer["name"] != "rmsprop":
        further = {"betas": [optimizer["beta1"], optimizer["beta2"]]}
    new: Config = {
        "data": {"_target_": "charrnn.TextDataModule", "sha256": None, **config["data"]},
        "model": {"_target_": "charrnn.LanguageModel", **config["model"]},
        "trainer": {"_target_": "lightning.Trainer", **config["trainer"]},
        "optimizer": {
            **{"_target_": target, "_partial_": True},
            **{name: optimizer[name] for name in names},
            **further,
        },
        "schedule": {
            **{"_target_": f"charrnn.training.schedules.{schedule['name']}", "_partial_": True},
            **{name: schedule[name] for name in SCHEDULES[schedule["name"]]},
        },
        "callbacks": {
            "progress": {
                "_target_": "charrnn.training.Progress",
                "bar": callbacks["progress_bar"],
            },
            "samples": {
                "_target_": "charrnn.training.Samples",
                "length": callbacks["sample_length"],
                "temperature": callbacks["sample_temperature"],
            },
            "checkpoints": {
                "_target_": "charrnn.training.RunCheckpoints",
                "keep_every": callbacks["keep_every"],
            },
        },
        "logger": {"csv": {"_target_": "charrnn.training.MetricsCSV"}},
        "tags": None,
    }
    if callbacks["patience"] is not None:
        new["callbacks"]["early_stopping"] = {
            "_target_": "charrnn.training.EarlyStopping",
            "monitor": "val/loss",
            "patience": callbacks["patience"],
            "min_delta": callbacks["min_delta"],
        }
    if loggers["tensorboard"]:
        new["logger"]["tensorboard"] = {
            "_target_": "lightning.pytorch.loggers.TensorBoardLogger",
            "name": "",
            "version": "tensorboard",
            "default_hp_metric": False,
        }
    return new
