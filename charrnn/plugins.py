"""The commands, and what extras add to the core.

An extra is a folder of `charrnn/extras/` that can be deleted. The core imports none: it reads
their table, which names everything by text ("module:name"), and imports what it uses when it
uses it. So `charrnn --help` imports neither a command nor an extra.

An extra may add commands, options of a core command, what can be built in training, choices of
groups (the YAML files of its folder `conf/`), and functions that the core calls by these names:

sample         (options, sampler) -> `charrnn.commands.sample.SampleStep`, or None for nothing to do
int8_engine    (trained model) -> the engine of ``engine=numpy precision=8``
compiled_engine  (trained model, bits of a weight, NumPy's engine) -> that of ``engine=numba``;
               raises ImportError where numba is missing
run_end        (folder of a run that has ended) -> the file that it made, or None; must not raise
sweep_end      (folder of a sweep that has ended)
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from charrnn.errors import RunError

_PACKAGE = Path(__file__).resolve().parent
# beside the modules in an installed wheel, beside the package in a checkout
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
# the entry points by which another distribution adds commands
GROUP = "charrnn.commands"


@dataclass(frozen=True)
class Command:
    """A command: ``charrnn NAME OPTION=VALUE ...``.

    Attributes:
        name: which is also that of its YAML file.
        options: the dataclass of its options, or its "module:name".
        run: is called with the options, or its "module:name". In the module beside it may stand
            `prepare_overrides(words, multirun)`, which changes what was typed;
            `main_config(words)`, which names what they are composed over, and returns them;
            of a sweep's jobs
            `check_in_sweep(options)`, before the first begins, and `tell_job(folder, jobs,
            seconds)`, as each does; and `follow()`, which returns an exit code in a process that
            does not read the command line.
        makes_folder: whether Hydra's folder is one that stays, the run's.
        conf: the folder of NAME.yaml, which has the defaults and their explanations.
    """

    name: str
    options: type | str
    run: Callable[[Any], Any] | str
    conf: Path = CONF
    makes_folder: bool = False

    def beside(self, name: str) -> Callable[..., Any] | None:
        """A function in the module of `run`; None if it has none of this name."""
        if isinstance(self.run, str):
            module = importlib.import_module(self.run.partition(":")[0])
        else:
            module = sys.modules[self.run.__module__]
        return getattr(module, name, None)


@dataclass(frozen=True)
class Extra:
    """What an extra adds, each by its "module:name".

    Attributes:
        name: of its folder in `charrnn/extras/`.
        options: core command -> the dataclass of that command's options, with more of them, frozen
            as that is. Their defaults stand in COMMAND.yaml of the extra's folder.
        choices: the core commands whose groups get choices from the extra's folder `conf/`.
        nodes: a mapping of ``_target_`` to the dataclass of its options.
        calls: what the core calls, by the names above.
    """

    name: str
    commands: tuple[Command, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    nodes: str | None = None
    calls: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return _PACKAGE / "extras" / self.name


@cache
def extras() -> tuple[Extra, ...]:
    """Those whose folders are there."""
    try:
        from charrnn.extras import EXTRAS
    except ModuleNotFoundError:
        return ()
    return tuple(extra for extra in EXTRAS if (extra.folder / "__init__.py").is_file())


@cache
def commands() -> dict[str, Command]:
    """Every command of this distribution, by its name."""
    from charrnn.commands import COMMANDS

    further = [command for extra in extras() for command in extra.commands]
    return {command.name: command for command in (*COMMANDS, *further)}


def command(name: str) -> Command | None:
    """A command, another distribution's too; None if there is none.

    Raises:
        RunError: another distribution's cannot be imported.
    """
    return commands().get(name) or _from_elsewhere(name)


@cache
def _from_elsewhere(name: str) -> Command | None:
    # which takes longer to import than `charrnn --help` takes
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP, name=name):
        try:
            loaded = point.load()
        except Exception as error:
            raise RunError(f"{name}: {point.value} cannot be imported ({error})") from error
        if not isinstance(loaded, Command):
            raise RunError(f"{name}: {point.value} is no charrnn.plugins.Command")
        return replace(loaded, name=name)
    return None


def names() -> list[str]:
    """The names of all commands, those of other distributions too."""
    from importlib.metadata import entry_points

    return [*commands(), *sorted({point.name for point in entry_points(group=GROUP)})]


@cache
def options_of(name: str) -> type:
    """The dataclass of a command's options, with those that extras add."""
    found = command(name)
    assert found is not None, name
    own: type = _resolved(found.options)
    added = tuple(_resolved(extra.options[name]) for extra in extras() if name in extra.options)
    return dataclass(frozen=True, kw_only=True)(type(own.__name__, added, {})) if added else own


def conf_folders(name: str) -> list[Path]:
    """The folders of a command's YAML files: conf/, those of the extras, and its own."""
    found = command(name)
    assert found is not None, name
    choices = [extra.folder / "conf" for extra in extras() if name in extra.choices]
    return list(dict.fromkeys([CONF, *choices, found.conf]))


def added_options(name: str) -> list[Path]:
    """The YAML files of the options that extras add to a command."""
    return [extra.folder / f"{name}.yaml" for extra in extras() if name in extra.options]


def nodes() -> dict[str, type]:
    """What extras let be built in training: ``_target_`` -> the dataclass of its options."""
    found: dict[str, type] = {}
    for extra in extras():
        if extra.nodes is not None:
            found |= _resolved(extra.nodes)
    return found


def calls(name: str) -> list[Callable[..., Any]]:
    """The functions of extras that the core calls at a place."""
    return [_resolved(extra.calls[name]) for extra in extras() if name in extra.calls]


def resolved(command: Command) -> Callable[[Any], Any]:
    """The function of a command."""
    run: Callable[[Any], Any] = _resolved(command.run)
    return run


def _resolved(named: Any) -> Any:
    if not isinstance(named, str):
        return named
    module, _, name = named.partition(":")
    return getattr(importlib.import_module(module), name)
