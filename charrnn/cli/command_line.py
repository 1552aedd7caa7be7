"""Parse a command line: some of Hydra's flags, and overrides."""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from charrnn import plugins
from charrnn.cli.overrides import Override, find_text_options
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
# Hydra's flags that charrnn lacks, and why
_OWN_CONF = "the main folder is charrnn's conf/; --config-dir DIR adds one"
_NO_COMPLETION = "the shell cannot complete the words of charrnn; --help=all lists the options"
_MISSING_FLAGS = {
    **dict.fromkeys(("--config-path", "-cp"), _OWN_CONF),
    **dict.fromkeys(("--shell-completion", "-sc"), _NO_COMPLETION),
}


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help shows how to write it")


def parse_flags(words: list[str], command: str) -> tuple[Namespace, list[str]]:
    """Return the flags and the overrides. Raise InputError if a flag is unknown."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    for names, settings in _FLAGS.items():
        parser.add_argument(*names, **settings)
    # argparse would split -model into -m and -odel.
    for flag in (word.partition("=")[0] for word in words if word.startswith("-")):
        if not any(flag in names for names in _FLAGS):
            if reason := _MISSING_FLAGS.get(flag):
                raise InputError(f"{flag}: {reason}")
            modules = plugins.import_modules("words")
            translations = (module.translate_words(command, words) for module in modules)
            if overrides := next(filter(None, translations), None):
                line = shlex.join(["charrnn", command, *overrides])
                raise InputError(f"options have no dashes in charrnn; instead type: {line}")
            name = flag.lstrip("-").replace("-", "_") or "NAME"
            raise InputError(
                f"{flag}: no such flag; options have no dashes and are written {name}=VALUE "
                f"(--help=all lists them)"
            )
    flags = parser.parse_intermixed_args(words)
    overrides = vars(flags).pop("overrides")
    if bool(flags.multirun) + bool(flags.cfg) + bool(flags.info) > 1:
        raise InputError("-m, --cfg, --info: give only one of them")
    if (flags.package or flags.resolve) and not flags.cfg:
        raise InputError("--package and --resolve need --cfg")
    if flags.config_dir is not None and not os.path.isdir(flags.config_dir):
        raise InputError(f"--config-dir {flags.config_dir}: is not a folder")
    return flags, overrides


@dataclass(frozen=True)
class Line:
    """A command line: its overrides in Hydra's order, and the name of the config to change."""

    command: Command
    flags: Namespace
    overrides: tuple[Override, ...]
    main_config: str

    @classmethod
    def from_words(cls, command: Command, words: list[str]) -> Line:
        """Parse the words after the command's name, and call the command's `prepare_line`."""
        flags, words = parse_flags(words, command.name)
        overrides = [Override.from_word(word) for word in words]
        option = command.get("FIRST_WORD")
        if option and overrides and overrides[0].is_bare_word:
            overrides[0] = Override("", option, overrides[0].name)
        line = cls(command, flags, tuple(overrides), flags.config_name or command.name)
        kinds, multirun = find_text_options(command.name), line.multirun
        line = line.map_overrides(lambda o: o.read_texts(kinds.get(o.name), multirun))
        _store(command)
        prepare_line = command.get("prepare_line")
        return prepare_line(line) if prepare_line else line

    def find_last(self, name: str) -> Override:
        """Return the last override of an option, or an override without a value."""
        overrides = [o for o in self.overrides if o.name == name and o.prefix != "~"]
        return overrides[-1] if overrides else Override("", name)

    def with_text(self, name: str, text: str) -> Line:
        """Return the line with an option set to a text."""
        others = (override for override in self.overrides if override.name != name)
        return replace(self, overrides=(*others, Override.from_texts(name, text)))

    def map_overrides(self, change: Callable[[Override], Override]) -> Line:
        """Return the line with each override changed."""
        return replace(self, overrides=tuple(map(change, self.overrides)))

    def as_job(self, words: Iterable[str]) -> Line:
        """Return the line of one job of a sweep; `words` are in Hydra's grammar."""
        flags = Namespace(**(vars(self.flags) | {"multirun": False}))
        return replace(self, flags=flags, overrides=tuple(map(Override.from_word, words)))

    def as_multirun(self) -> Line:
        """Return the line with the flag -m."""
        return replace(self, flags=Namespace(**(vars(self.flags) | {"multirun": True})))

    @property
    def multirun(self) -> bool:
        """Whether the line is a sweep; a YAML file may make it one, too."""
        has_study = self.find_last("sweep").value is not None
        return self.flags.multirun or has_study or self.find_last("hydra.mode").value == "MULTIRUN"

    @property
    def words(self) -> list[str]:
        """The overrides in Hydra's grammar."""
        return [override.word for override in self.overrides]

    @property
    def needs_only_compose(self) -> bool:
        """Whether Hydra only has to compose the config."""
        has_flags = any(vars(self.flags).values())
        sets_hydra = any(override.key.split(".")[0] == "hydra" for override in self.overrides)
        return not (has_flags or sets_hydra or self.command.get("MAKES_FOLDER"))

    @property
    def prints_only(self) -> bool:
        """Whether the flags ask Hydra to print something instead of running the command."""
        return bool(self.flags.cfg or self.flags.info or self.flags.hydra_help)

    def to_hydra_flags(self) -> list[str]:
        """Return the flags for Hydra's parser."""
        flags = vars(self.flags) | {"config_name": self.flags.config_name and self.main_config}
        values = {f"--{name.replace('_', '-')}": value for name, value in flags.items() if value}
        return [flag if value is True else f"{flag}={value}" for flag, value in values.items()]

    @property
    def main_folder(self) -> str:
        """The folder of the main config, which Hydra does not search in hydra.searchpath."""
        folder = Path(self.flags.config_dir or os.devnull).absolute()
        return str(folder if (folder / f"{self.main_config}.yaml").is_file() else plugins.CONF)


def _store(command: Command) -> None:
    """Put the YAML files of extras and other packages into Hydra's ConfigStore."""
    store = ConfigStore.instance().store
    for folder in plugins.list_conf_folders(command.name):
        for path in folder.rglob("*.yaml") if folder != plugins.CONF else ():
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
