"""A command line: flags of Hydra's, and overrides.

Hydra's own parser takes more flags: prefixes, a rerun from a pickle, completion.
"""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.cli.overrides import FOLDERS, Override, quoted, text_options
from charrnn.errors import InputError
from charrnn.plugins import Command

_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_FLAGS: dict[tuple[str, ...], dict[str, Any]] = {
    ("--multirun", "-m"): {"action": "store_true"},
    ("--cfg", "-c"): {"choices": ("job", "hydra", "all")},
    ("--info", "-i"): {"nargs": "?", "const": "all", "choices": _INFO},
    ("--package", "-p"): {},
    ("--resolve",): {"action": "store_true"},
    ("--config-dir", "-cd"): {},
    ("--config-name", "-cn"): {},
    ("--hydra-help",): {"action": "store_true"},
}


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help says how it is written")


def parse_flags(words: list[str], command: str) -> tuple[Namespace, list[str]]:
    """The flags under their names, and the overrides.

    Raises:
        InputError: an unknown flag, or flags that do not go together.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    for names, how in _FLAGS.items():
        parser.add_argument(*names, **how)
    # argparse would read -model as -m and -odel
    for flag in (word.partition("=")[0] for word in words if word.startswith("-")):
        if not any(flag in names for names in _FLAGS):
            translators = plugins.import_modules("words")
            answers = (module.translate_words(command, words) for module in translators)
            if answer := next(filter(None, answers), None):
                line = shlex.join(["charrnn", command, *answer])
                raise InputError(f"options have no dashes here, and this line does it: {line}")
            name = flag.lstrip("-").replace("-", "_") or "NAME"
            raise InputError(
                f"{flag}: no such flag; options have no dashes and are written {name}=VALUE "
                f"(--help=all lists them)"
            )
    flags = parser.parse_intermixed_args(words)
    overrides: list[str] = vars(flags).pop("overrides")
    if bool(flags.multirun) + bool(flags.cfg) + bool(flags.info) > 1:
        raise InputError("-m, --cfg, --info: give one of them")
    if (flags.package or flags.resolve) and not flags.cfg:
        raise InputError("--package and --resolve go with --cfg")
    if flags.config_dir is not None and not os.path.isdir(flags.config_dir):
        raise InputError(f"--config-dir {flags.config_dir}: is no folder")
    return flags, overrides


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        overrides: in the order in which Hydra applies them.
        main_config: the name of the config over which Hydra composes them.
    """

    command: Command
    flags: Namespace
    overrides: tuple[Override, ...]
    main_config: str

    @classmethod
    def from_words(cls, command: Command, words: list[str]) -> Line:
        """Read the words that follow a command, and let the command prepare them.

        Raises:
            InputError: an unknown flag, or a folder that Hydra cannot make.
        """
        flags, words = parse_flags(words, command.name)
        overrides = [Override.from_word(word) for word in words]
        option = command.get("FIRST_WORD")
        if option and overrides and overrides[0].is_bare_word:
            overrides[0] = Override("", option, overrides[0].name)
        line = cls(command, flags, tuple(overrides), flags.config_name or command.name)
        kinds, multirun = text_options(command.name), line.multirun
        line = line.map_overrides(lambda o: o.read_texts(kinds.get(o.name), multirun))
        for override in line.overrides:
            _require_folder(override)
        _store(command)
        prepare_line = command.get("prepare_line")
        return prepare_line(line) if prepare_line else line

    def find_last(self, name: str) -> Override:
        """Return the last override that sets an option, which decides; without a value if none."""
        given = [o for o in self.overrides if o.name == name and o.prefix != "~"]
        return given[-1] if given else Override("", name)

    def with_text(self, name: str, text: str) -> Line:
        """Return the line with one override of an option, which sets it to a text."""
        others = (override for override in self.overrides if override.name != name)
        return replace(self, overrides=(*others, Override.from_texts(name, text)))

    def map_overrides(self, change: Callable[[Override], Override]) -> Line:
        """Return the line with each override changed."""
        return replace(self, overrides=tuple(map(change, self.overrides)))

    def as_job(self, words: list[str]) -> Line:
        """Return the line of one job of a sweep, whose overrides are in Hydra's grammar."""
        flags = Namespace(**(vars(self.flags) | {"multirun": False}))
        return replace(self, flags=flags, overrides=tuple(map(Override.from_word, words)))

    @property
    def multirun(self) -> bool:
        """Whether values may be several."""
        searches = self.find_last("sweep").value is not None
        return self.flags.multirun or searches or self.find_last("hydra.mode").value == "MULTIRUN"

    @property
    def words(self) -> list[str]:
        """The overrides in Hydra's grammar."""
        return [override.word for override in self.overrides]

    @property
    def is_simple(self) -> bool:
        """Whether Hydra has nothing to do but to compose."""
        asks = any(override.key.split(".")[0] == "hydra" for override in self.overrides)
        return (
            not any(vars(self.flags).values()) and not self.command.get("MAKES_FOLDER") and not asks
        )

    @property
    def show_only(self) -> bool:
        """Whether something is to be printed, and nothing run."""
        return bool(self.flags.cfg or self.flags.info or self.flags.hydra_help)

    def hydras_flags(self) -> list[str]:
        """Return the flags as Hydra reads them."""
        flags = vars(self.flags) | {"config_name": self.flags.config_name and self.main_config}
        given = {f"--{name.replace('_', '-')}": value for name, value in flags.items() if value}
        return [flag if value is True else f"{flag}={value}" for flag, value in given.items()]

    @property
    def main_folder(self) -> str:
        """Where the main config lies: Hydra reads it before it looks into hydra.searchpath."""
        own = Path(self.flags.config_dir or os.devnull).absolute()
        return str(own if (own / f"{self.main_config}.yaml").is_file() else plugins.CONF)

    def compose(self) -> DictConfig:
        """Compose the overrides as one run; inside of `initialize_hydra`."""
        words = self.words
        if self.flags.config_dir:
            places = (plugins.CONF, os.path.abspath(self.flags.config_dir))
            further = [quoted(f"file://{f}") for f in places if str(f) != self.main_folder]
            words.append(f"hydra.searchpath=[{','.join(further)}]")
        return hydra.compose(self.main_config, words, return_hydra_config=True)


def _require_folder(override: Override) -> None:
    """Raise InputError for a folder that Hydra cannot make, and for another working directory."""
    if override.name == "hydra.job.chdir" and str(override.value).lower() != "false":
        raise InputError(f"{override.typed}: charrnn stays in the folder where it is started")
    if override.name in FOLDERS and any(not text or "${" in text for text in override.texts):
        raise InputError(
            f"{override.typed}: takes a folder, and Hydra can make none with ${{ in its path"
        )


def _store(command: Command) -> None:
    """Let Hydra find the YAML files that stand outside of conf/: an extra's, another package's."""
    store = ConfigStore.instance().store
    if paths := plugins.list_added_options(command.name):
        added = OmegaConf.merge(*map(OmegaConf.load, paths))
        store(command.name, added, group="added_by_extras")
    for folder in plugins.list_conf_folders(command.name):
        for path in folder.rglob("*.yaml") if folder != plugins.CONF else ():
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
