"""Runs of older versions, as today's would have recorded them.

Until version 0.2 a config named its optimizer, schedule and loggers by words, no choices were
recorded, and Lightning counted a whole run as one endless epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch

from charrnn import plugins
from charrnn.cli import conf
from charrnn.errors import InputError
from charrnn.models.checkpoint import ENTRY
from charrnn.options.networks import Regularization

_OPTIMIZERS = {
    "adam": ("torch.optim.Adam", ("lr", "eps", "weight_decay")),
    "adamw": ("torch.optim.AdamW", ("lr", "eps", "weight_decay")),
    "rmsprop": ("torch.optim.RMSprop", ("lr", "alpha", "eps", "weight_decay")),
}
_SCHEDULES = {
    "step": ("decay_every", "decay_factor", "warmup_steps"),
    "cosine": ("final_factor", "warmup_steps"),
    "constant": ("warmup_steps",),
}
# options that are new since, as what was done before them
_NEW = {
    "data": {"lines": "keep", "lines_seed": 0, "shuffle": False},
    "model": {**asdict(Regularization()), "layernorm": False, "skip": "none"},
}


def upgraded(config: dict[str, Any], source: str) -> dict[str, Any]:
    """A recorded config in today's form; one that is in it already is returned as it is.

    Args:
        source: where it was recorded, for what is said of it.

    Raises:
        InputError: it is none that any version wrote.
    """
    try:
        return _upgraded(config)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"{source}: its config is none that charrnn wrote ({what})") from error


def _upgraded(config: dict[str, Any]) -> dict[str, Any]:
    for group, new in _NEW.items():
        if isinstance(old := config.get(group), dict):
            config = {**config, group: {**new, **old}}
    config = _with_moved(config)
    if not isinstance(config.get("optimizer"), dict) or "name" not in config["optimizer"]:
        return config
    config = copy.deepcopy(config)
    old = config["optimizer"]
    target, names = _OPTIMIZERS[old["name"]]
    optimizer = {"_target_": target, "_partial_": True, **{name: old[name] for name in names}}
    if old["name"] == "rmsprop":
        optimizer["foreach"] = True
    else:
        optimizer["betas"] = [old["beta1"], old["beta2"]]
    schedule = config["schedule"]
    kept = {name: schedule[name] for name in _SCHEDULES[schedule["name"]]}
    target = f"charrnn.training.schedules.{schedule['name']}"
    return {
        **config,
        "data": {"_target_": "charrnn.TextDataModule", "sha256": None, **config["data"]},
        "model": {"_target_": "charrnn.LanguageModel", **config["model"]},
        "trainer": {"_target_": "lightning.Trainer", **config["trainer"]},
        "optimizer": optimizer,
        "schedule": {"_target_": target, "_partial_": True, **kept},
        "callbacks": _callbacks(config["callbacks"]),
        "logger": _loggers(config["logger"]),
        "tags": None,
    }


def _with_moved(config: dict[str, Any]) -> dict[str, Any]:
    """With today's names of what extras let be built."""
    moved, callbacks = plugins.moved(), config.get("callbacks")
    if not isinstance(callbacks, dict):
        return config
    renamed = {
        name: {**node, "_target_": moved[node["_target_"]]}
        for name, node in callbacks.items()
        if isinstance(node, dict) and node.get("_target_") in moved
    }
    return {**config, "callbacks": {**callbacks, **renamed}} if renamed else config


def inferred_choices(config: dict[str, Any]) -> dict[str, str]:
    """The choice of conf/ in each group that builds what a config has there."""
    choices = {}
    for group in ("optimizer", "schedule", "callbacks", "logger"):
        wanted = dict(_targets(config.get(group), group))
        for name in conf.page("train").groups[group]:
            if wanted.items() <= conf.targets(group, name).items():
                choices[group] = name
                break
    return choices


def _targets(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield path, node["_target_"]
        for name, part in node.items():
            yield from _targets(part, f"{path}.{name}")


def _callbacks(old: dict[str, Any]) -> dict[str, Any]:
    callbacks: dict[str, Any] = {
        "progress": {"_target_": "charrnn.training.Progress", "bar": old["progress_bar"]},
        "samples": {
            "_target_": "charrnn.training.Samples",
            "length": old["sample_length"],
            "temperature": old["sample_temperature"],
        },
        "checkpoints": {
            "_target_": "charrnn.training.RunCheckpoints",
            "keep_every": old["keep_every"],
        },
    }
    if old["patience"] is not None:
        callbacks["early_stopping"] = {
            "_target_": "charrnn.training.EarlyStopping",
            "monitor": "val/loss",
            "patience": old["patience"],
            "min_delta": old["min_delta"],
        }
    return callbacks


def _loggers(old: dict[str, Any]) -> dict[str, Any]:
    loggers: dict[str, Any] = {"csv": {"_target_": "charrnn.training.MetricsCSV"}}
    if old["tensorboard"]:
        loggers["tensorboard"] = {
            "_target_": "lightning.pytorch.loggers.TensorBoardLogger",
            "name": "",
            "version": "tensorboard",
            "default_hp_metric": False,
        }
    return loggers


def continue_epochs(content: dict[str, Any], steps_per_epoch: int) -> None:
    """Let a checkpoint of one endless epoch count epochs as Lightning does today.

    Args:
        content: of a checkpoint, changed in place; one of today's is left as it is.
    """
    if "trained_steps" not in content.get("TextDataModule", {}):
        return
    del content["TextDataModule"]
    loops = content["loops"]["fit_loop"]
    step = content["global_step"]
    epoch, in_epoch = divmod(step, steps_per_epoch)
    if step and not in_epoch:
        # it was saved on the last batch of an epoch, which Lightning then completes
        epoch, in_epoch = epoch - 1, steps_per_epoch
    progress = loops["epoch_progress"]
    for name in ("total", "current"):
        progress[name].update(ready=epoch + 1, started=epoch + 1, processed=epoch, completed=epoch)
    batches = loops["epoch_loop.batch_progress"]
    batches["is_last_batch"] = in_epoch == steps_per_epoch
    # after a step and its validation, where all of them were saved
    for name, count in (("current", in_epoch), ("total", step)):
        batches[name].update(ready=count, started=count, processed=count, completed=count)
    content["epoch"] = epoch
    best = content[ENTRY]["best"]
    if "waited" in best:
        content.setdefault("callbacks", {})["EarlyStopping"] = {
            "wait_count": best["waited"],
            "stopped_epoch": 0,
            "best_score": torch.tensor(best["bar"]),
            "patience": 0,
        }
