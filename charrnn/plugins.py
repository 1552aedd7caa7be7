"""Find the commands and extras of charrnn.

A command is a module, `charrnn/commands/NAME.py`, with ``OPTIONS``, the dataclass of its options,
and ``run(options)``. It may also have

FIRST_WORD                 the option that a first word without ``=`` sets
MAKES_FOLDER               True if Hydra's folder is a run's folder, which is kept; the command is
                           then ``run(options, config)``, with the composed config
prepare_words(words)       returns the overrides that Hydra composes, made from the typed ones
choose_main_config(words)  returns the name of another main config than NAME.yaml, or None
INSTEAD, SAME              words that are answered with others, or read as others
follow()                   runs a process without a command line, and returns its exit code

An extra is a folder of `charrnn/extras/` that can be deleted. The names of its files say what it
adds.

NAME_command.py, NAME.yaml   a command
conf/                        choices of the config groups of `charrnn train`
*_sample.py                  ``Novelty(options, sampler)``, for `charrnn sample`
*_model.py                   ``reads(start, path)``: whether it reads a file with these first 9
                             bytes; ``read_model(path)``
*_words.py                   ``translate_words(command, words)``: another program's flags as
                             overrides, or None
*_run_end.py                 ``at_end(folder)``, called when a run has ended
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from charrnn.errors import InputError, suggest_name

_PACKAGE = Path(__file__).resolve().parent
_EXTRAS = _PACKAGE / "extras"
# conf/ is in the package if it is an installed wheel, and beside the package in a checkout.
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
_CORE = ("preprocess", "train", "runs", "sample", "evaluate", "convert")


@dataclass(frozen=True)
class Command:
    """A command ``charrnn NAME``: the name of its module, and the folder of its NAME.yaml."""

    name: str
    module: str
    conf: Path = CONF

    def get(self, name: str) -> Any:
        """Return an attribute of the command's module, or None if it is missing."""
        return getattr(importlib.import_module(self.module), name, None)


@cache
def _find_modules(ending: str) -> dict[str, Path]:
    """Return the names and files of the extras' modules whose names have this ending."""
    paths = sorted(_EXTRAS.glob(f"*/*_{ending}.py"))
    return {f"charrnn.extras.{path.parent.name}.{path.stem}": path for path in paths}


def import_modules(ending: str) -> list[ModuleType]:
    """Import the extras' modules whose names have this ending."""
    return [*map(importlib.import_module, _find_modules(ending))]


@cache
def list_commands() -> dict[str, Command]:
    """Return every command by its name."""
    result = {name: Command(name, f"charrnn.commands.{name}") for name in _CORE}
    for module, path in _find_modules("command").items():
        name = path.stem.removesuffix("_command")
        result[name] = Command(name, module, path.parent)
    return result


def get_command(name: str) -> Command:
    """Return the command of a name. Raise InputError if there is none."""
    commands = list_commands()
    if name not in commands:
        hint = suggest_name(name, commands, f"; the commands are {', '.join(commands)}")
        if os.path.exists(name):
            hint = f"; to train on this text: charrnn train {name}"
        raise InputError(f"{name}: no such command{hint}")
    return commands[name]


def list_conf_folders(name: str) -> list[Path]:
    """Return the folders of a command's YAML files: conf/, the extras' conf/, and its folder."""
    groups = sorted(_EXTRAS.glob("*/conf")) if name == "train" else []
    return list(dict.fromkeys([CONF, *groups, get_command(name).conf]))
