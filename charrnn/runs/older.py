"""Configs of older versions, as today's would have recorded them.

Until version 0.2 a config named its optimizer, schedule and loggers by words.
"""

from __future__ import annotations

import copy
from dataclasses import asdict

from charrnn import plugins
from charrnn.errors import InputError
from charrnn.options.networks import Regularization
from charrnn.runs.record import MISSING, Choice, Config, found, is_choice, put

# options that are new since a config was recorded, as what was done before them
NEW = {
    "data.line_ends": "keep",
    "data.lines": "keep",
    "data.lines_seed": 0,
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
        for key, value in NEW.items():
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
