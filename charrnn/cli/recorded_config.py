"""Compose today's words over the record of a run, which replaces conf/train.yaml."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from charrnn import plugins
from charrnn.cli import help_page
from charrnn.cli.overrides import RECORDED_CONFIG, get_key, read_value
from charrnn.errors import InputError, shorten
from charrnn.options.training import TrainOptions
from charrnn.runs import resuming
from charrnn.runs.trusted import GROUPS

_WITH_BASE = ("data", "model", "trainer")  # Options that a record lacks get their defaults.


def store_record(source: str, words: list[str]) -> str | None:
    """Store the record of a run folder or a checkpoint as Hydra's main config.

    Return the name of this config, or None if there is no record. Raise InputError if the record
    needs ``trust=true``.
    """
    if not resuming.has_record(source):
        return None  # `charrnn.commands.train` raises the error.
    main: Any = OmegaConf.to_container(OmegaConf.load(plugins.CONF / "train.yaml"))
    given = {get_key(word) for word in words}
    groups = given & help_page.read_page("train").groups.keys()
    record = {n: node for n, node in resuming.read_record(source).items() if n not in groups}
    if unknown := sorted(record.keys() - {option.name for option in fields(TrainOptions)}):
        raise InputError(f"{source}: {shorten(unknown[0])} is not an option of charrnn train")
    if read_value(words, "trust") is not True:
        resuming.require_trusted(source, record)
    # A later entry overrides an earlier one.
    main["defaults"] = [
        "base/run_folder",
        *(f"/base/{name}@{name}" for name in _WITH_BASE),
        *({group: None} for group in GROUPS),
        "_self_",  # the record
        *({group: None} for group in help_page.WITHOUT_A_NODE),  # such as experiment=
        *({f"override hydra/{name}_logging": "stderr"} for name in ("job", "hydra")),
    ]
    record = resuming.reopen_decisions(record, given)
    content = {**main, **record, "resume": None, "trust": False}
    ConfigStore.instance().store(RECORDED_CONFIG, OmegaConf.create(content))
    return RECORDED_CONFIG
