"""Find the commands and extras of charrnn, by the tables below.

A command NAME has its options in conf/NAME.yaml, and a module with ``OPTIONS``, the dataclass that
checks them, and ``run(options)``. The module may also have

FIRST_WORD            the option that a first word without ``=`` sets
MAKES_FOLDER          True if Hydra's folder is a run's folder, which is kept; the command is then
                      ``run(options, config, words)``, with the composed config and the typed words
prepare_words(words)  returns the overrides that Hydra composes, made from the typed ones,
                      which are quoted for Hydra

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

COMMANDS = {
    "preprocess": "charrnn.commands.preprocess",
    "train": "charrnn.commands.train",
    "runs": "charrnn.commands.runs",
    "sample": "charrnn.commands.sample",
    "evaluate": "charrnn.commands.evaluate",
    "convert": "charrnn.commands.convert",
    "export": "charrnn.extras.page.export_command",
    "serve": "charrnn.extras.serve.serve_command",
}
# From here on modules, with the functions that they have.
# ``Novelty(options, sampler)``, for `charrnn sample`
SAMPLERS = ["charrnn.extras.novelty.novelty_sample"]
# ``read_model(path)``, for files with this suffix
MODEL_READERS = {
    ".ckpt": ["charrnn.models.checkpoint"],
    ".t7": ["charrnn.extras.torch_rnn.torch_rnn_model"],
}
# ``translate_words(command, words)``: another program's flags as overrides, or None
FOREIGN_WORDS = ["charrnn.extras.torch_rnn.torch_rnn_words"]
# ``at_end(folder)``, called when a run has ended
RUN_ENDS = ["charrnn.extras.report"]


class Command(NamedTuple):
    """A command ``charrnn NAME``, and the name of its module."""

    name: str
    module: str

    def get(self, name: str) -> Any:
        """Return an attribute of the command's module, or None if it is missing."""
        return getattr(importlib.import_module(self.module), name, None)


def _exists(module: str) -> bool:
    """Return whether a module is there, which that of a deleted extra is not."""
    path = _PACKAGE.parent / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def import_modules(names: Iterable[str]) -> list[ModuleType]:
    """Import the modules of a table, without those of deleted extras."""
    return [importlib.import_module(name) for name in filter(_exists, names)]


@cache
def list_commands() -> dict[str, Command]:
    """Return each command by its name."""
    return {name: Command(name, module) for name, module in COMMANDS.items() if _exists(module)}


def get_command(name: str) -> Command:
    """Return a command. Raise InputError if there is none of this name."""
    commands = list_commands()
    if name not in commands:
        hint = suggest_name(name, commands, f"; the commands are {', '.join(commands)}")
        if os.path.exists(name):
            hint = f"; to train on this text: charrnn train {name}"
        raise InputError(f"{name}: no such command{hint}")
    return commands[name]
