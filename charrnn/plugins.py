"""The commands, and what extras add to the core.

A command is a module that has ``OPTIONS``, the dataclass of its options, and ``run(options)``:
`charrnn/commands/NAME.py`, or another distribution's, which an entry point of the group
``charrnn.commands`` names. It may also have

FIRST_WORD                            the option that a first word without ``=`` is
prepare_overrides(words, multirun)    changes what was typed
main_config(words)                    names what they are composed over, and returns them
check_in_sweep(options)               of each job of a sweep, before the first begins
follow()                              an exit code, in a process that reads no command line
MAKES_FOLDER                          that Hydra's folder is one that stays, the run's

An extra is a folder of `charrnn/extras/` that can be deleted. What it adds is found by the names
of its files, so that `charrnn --help` imports neither a command nor an extra:

NAME_command.py, NAME.yaml            a command
conf/                                 choices of the groups of `charrnn train`
EXTRA_sample.py, sample.yaml          ``OPTIONS`` of `charrnn sample`, with more of them, and
                                      ``step(options, sampler)``, a `SampleStep` or None
EXTRA_model.py                        ``reads(start, path)``, ``read_model(path)``: another kind of
                                      file with a model, told by its first 9 bytes
EXTRA_words.py                        ``translated(command, words)``: another program's command
                                      line in charrnn's words, or None
EXTRA_engines.py                      compiled_engine (`charrnn.generation.engines`)
EXTRA_run_end.py                      ``at_end(folder)``, when a run has ended
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
# beside the modules in an installed wheel, beside the package in a checkout
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
_CORE = ("preprocess", "train", "runs", "sample", "evaluate", "convert")
_GROUP = "charrnn.commands"


@dataclass(frozen=True)
class Command:
    """A command: ``charrnn NAME OPTION=VALUE ...``.

    Attributes:
        module: its name.
        conf: the folder of NAME.yaml, which has the defaults and their explanations.
    """

    name: str
    module: str
    conf: Path = CONF

    def get(self, name: str) -> Any:
        """What its module has of this name; None if it has nothing."""
        return getattr(importlib.import_module(self.module), name, None)


@cache
def extras() -> dict[str, Path]:
    """The folders of those that are there, by their names."""
    return {path.parent.name: path.parent for path in _PACKAGE.glob("extras/*/__init__.py")}


def parts(name: str) -> list[ModuleType]:
    """The modules EXTRA_NAME of the extras that have one."""
    return [
        importlib.import_module(f"charrnn.extras.{extra}.{extra}_{name}")
        for extra, folder in extras().items()
        if (folder / f"{extra}_{name}.py").is_file()
    ]


@cache
def commands() -> dict[str, Command]:
    """Every command of this distribution, by its name."""
    result = {name: Command(name, f"charrnn.commands.{name}") for name in _CORE}
    for extra, folder in sorted(extras().items()):
        for path in folder.glob("*_command.py"):
            name = path.stem.removesuffix("_command")
            result[name] = Command(name, f"charrnn.extras.{extra}.{path.stem}", folder)
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
    # which takes longer to import than `charrnn --help` takes
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=_GROUP)}
    if name not in points:
        names = [*commands(), *sorted(points)]
        hint = did_you_mean(name, names, f"; there are {', '.join(names)}")
        if os.path.exists(name):
            hint = f"; a text is learnt by `charrnn train {name}`"
        raise InputError(f"{name}: no such command{hint}")
    try:
        module = points[name].load()
        module.OPTIONS, module.run  # noqa: B018  (a module that lacks one is none)
    except Exception as error:
        raise RunError(f"{name}: {points[name].value} cannot be used ({error})") from error
    return Command(name, module.__name__, Path(module.__file__).parent)


@cache
def options_of(name: str) -> type:
    """The dataclass of a command's options, with those that extras add."""
    own: type = command(name).get("OPTIONS")
    added = tuple(part.OPTIONS for part in parts(name))
    return dataclass(frozen=True, kw_only=True)(type(own.__name__, added, {})) if added else own


def conf_folders(name: str) -> list[Path]:
    """The folders of a command's YAML files: conf/, those of the extras, and its own."""
    groups = [folder / "conf" for folder in extras().values() if name == "train"]
    return list(dict.fromkeys([CONF, *filter(Path.is_dir, groups), command(name).conf]))


def added_options(name: str) -> list[Path]:
    """The YAML files of the options that extras add to a command."""
    files = [folder / f"{name}.yaml" for folder in extras().values()]
    return [path for path in files if path.is_file() and path.parent != command(name).conf]
