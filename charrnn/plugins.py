"""The commands, and what extras add to the core.

A command is a module with ``OPTIONS``, the dataclass of its options, and ``run(options)``:
`charrnn/commands/NAME.py`, or what an entry point of the group ``charrnn.commands`` names. It may
also have

FIRST_WORD                 the option that a first word without ``=`` is
MAKES_FOLDER               that Hydra's folder is one that stays, the run's
prepare_line(line)         returns the line that Hydra composes, made from the typed line
check_in_sweep(options)    of each job of a sweep, before the first begins
follow()                   an exit code, in a process that reads no command line

An extra is a folder of `charrnn/extras/` that can be deleted. What it adds is found by the names
of its files, since entry points take half as long to read as `charrnn --help` takes:

NAME_command.py, NAME.yaml   a command
conf/                        choices of the groups of `charrnn train`
*_sample.py, sample.yaml     ``OPTIONS``, more of `charrnn sample`, and ``WRITER``, a `Writer`
*_model.py                   ``reads(start, path)``, by a file's first 9 bytes; ``read_model(path)``
*_words.py                   ``translate_words(command, words)``: another program's flags as
                             overrides, or None
*_engines.py                 compiled_engine (`charrnn.generation.engines`)
*_run_end.py                 ``at_end(folder)``, when a run has ended
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from charrnn.errors import InputError, RunError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent
_EXTRAS = _PACKAGE / "extras"
# beside the modules in an installed wheel, beside the package in a checkout
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
_CORE = ("preprocess", "train", "runs", "sample", "evaluate", "convert")


@dataclass(frozen=True)
class Command:
    """``charrnn NAME OPTION=VALUE ...``: its module's name, and the folder of its NAME.yaml."""

    name: str
    module: str
    conf: Path = CONF

    def get(self, name: str) -> Any:
        """What its module has of this name; None if it has nothing."""
        return getattr(importlib.import_module(self.module), name, None)


@cache
def _modules(ending: str) -> dict[str, Path]:
    """The names of the extras' modules that end so, each with its file."""
    paths = sorted(_EXTRAS.glob(f"*/*_{ending}.py"))
    return {f"charrnn.extras.{path.parent.name}.{path.stem}": path for path in paths}


def parts(ending: str) -> list[ModuleType]:
    """The extras' modules whose names end so."""
    return [*map(importlib.import_module, _modules(ending))]


@cache
def commands() -> dict[str, Command]:
    """Every command of this distribution, by its name."""
    result = {name: Command(name, f"charrnn.commands.{name}") for name in _CORE}
    for module, path in _modules("command").items():
        name = path.stem.removesuffix("_command")
        result[name] = Command(name, module, path.parent)
    return result


@cache
def command(name: str) -> Command:
    """A command, another distribution's too.

    Raises:
        InputError: there is none of this name.
        RunError: another distribution's cannot be imported.
    """
    if name in commands():
        return commands()[name]
    from importlib.metadata import entry_points  # which takes its time

    points = {point.name: point for point in entry_points(group="charrnn.commands")}
    if name not in points:
        names = [*commands(), *sorted(points)]
        hint = did_you_mean(name, names, f"; there are {', '.join(names)}")
        if os.path.exists(name):
            hint = f"; a text is learnt by `charrnn train {name}`"
        raise InputError(f"{name}: no such command{hint}")
    try:
        module = points[name].load()
        return Command(name, module.__name__, Path(module.__file__).parent)
    except Exception as error:
        raise RunError(f"{name}: {points[name].value} cannot be used ({error})") from error


@cache
def options_of(name: str) -> type:
    """The dataclass of a command's options, with those that extras add."""
    own: type = command(name).get("OPTIONS")
    added = tuple(part.OPTIONS for part in parts(name))
    return dataclass(frozen=True, kw_only=True)(type(own.__name__, added, {})) if added else own


def conf_folders(name: str) -> list[Path]:
    """The folders of a command's YAML files: conf/, those of the extras, and its own."""
    groups = sorted(_EXTRAS.glob("*/conf")) if name == "train" else []
    return list(dict.fromkeys([CONF, *groups, command(name).conf]))


def added_options(name: str) -> list[Path]:
    """The YAML files of the options that extras add to a command."""
    files = sorted(_EXTRAS.glob(f"*/{name}.yaml"))
    return [path for path in files if path.parent != command(name).conf]
