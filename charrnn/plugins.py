"""Find the commands and extras of charrnn, by the tables below.

A command is a module with ``OPTIONS``, the dataclass of its options, and ``run(options)``. It may
also have

FIRST_WORD            the option that a first word without ``=`` sets
MAKES_FOLDER          True if Hydra's folder is a run's folder, which is kept; the command is then
                      ``run(options, config, words)``, with the composed config and the typed words
prepare_words(words)  returns the overrides that Hydra composes, made from the typed ones

An extra is a folder of `charrnn/extras/`. If it is deleted, the modules of it are skipped.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from charrnn.errors import InputError, suggest_name

_PACKAGE = Path(__file__).resolve().parent
# conf/ is in the package if it is an installed wheel, and beside the package in a checkout.
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

COMMANDS = {  # NAME.yaml is in conf/, or beside the module of an extra
    "preprocess": "charrnn.commands.preprocess",
    "train": "charrnn.commands.train",
    "runs": "charrnn.commands.runs",
    "sample": "charrnn.commands.sample",
    "evaluate": "charrnn.commands.evaluate",
    "convert": "charrnn.commands.convert",
    "export": "charrnn.extras.page.export_command",
    "serve": "charrnn.extras.serve.serve_command",
}
# folders with choices of the config groups of `charrnn train`
CONF_FOLDERS = [_PACKAGE / "extras/search/conf"]
# From here on modules, with the functions that they have.
# ``Novelty(options, sampler)``, for `charrnn sample`
SAMPLERS = ["charrnn.extras.novelty.novelty_sample"]
# ``reads(start, path)``: whether it reads a file with these first 9 bytes; ``read_model(path)``
MODEL_READERS = ["charrnn.extras.torch_rnn.torch_rnn_model"]
# ``at_end(folder)``, called when a run has ended
RUN_ENDS = ["charrnn.extras.report.report_run_end"]


class Command(NamedTuple):
    """A command ``charrnn NAME``: the name of its module, and the folder of its NAME.yaml."""

    name: str
    module: str
    conf: Path

    def get(self, name: str) -> Any:
        """Return an attribute of the command's module, or None if it is missing."""
        return getattr(importlib.import_module(self.module), name, None)


def _find_file(module: str) -> Path:
    return (_PACKAGE.parent / module.replace(".", "/")).with_suffix(".py")


def import_modules(names: Iterable[str]) -> list[ModuleType]:
    """Import those modules of a table whose extra is not deleted."""
    return [importlib.import_module(name) for name in names if _find_file(name).is_file()]


@cache
def list_commands() -> dict[str, Command]:
    """Return each command by its name."""
    commands = {}
    for name, module in COMMANDS.items():
        file, is_extra = _find_file(module), module.startswith("charrnn.extras.")
        if file.is_file():
            commands[name] = Command(name, module, file.parent if is_extra else CONF)
    return commands


def get_command(name: str) -> Command:
    """Return a command. Raise InputError if there is none of this name."""
    commands = list_commands()
    if name not in commands:
        hint = suggest_name(name, commands, f"; the commands are {', '.join(commands)}")
        if os.path.exists(name):
            hint = f"; to train on this text: charrnn train {name}"
        raise InputError(f"{name}: no such command{hint}")
    return commands[name]


def list_conf_folders(name: str) -> list[Path]:
    """Return the folders of a command's YAML files: conf/, those of extras, and its own."""
    groups = [folder for folder in CONF_FOLDERS if folder.is_dir()] if name == "train" else []
    return list(dict.fromkeys([CONF, *groups, get_command(name).conf]))
