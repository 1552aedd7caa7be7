r"""Parse a command line: some of Hydra's flags, and overrides with literal texts.

Hydra's grammar rejects ``Zür``, ``What's``, ``(hi)`` and line breaks; it reads ``O Romeo, Romeo``
as a sweep and ``123`` as a number. Therefore the value of a text or path option is literal: it is
quoted for Hydra, and its ``${`` is escaped for OmegaConf. Only these values of such an option are
in Hydra's grammar:

- one quoted string, in which Hydra resolves ``${...}``;
- with ``-m``, quoted strings that commas separate: a sweep over texts;
- a bracketed list, if the option takes one;
- the bare word ``null``, if the option may be unset;
- a folder of Hydra's (``hydra.run.dir``) with ``${...}``, which Hydra resolves in any case.
"""

from __future__ import annotations

import os
import re
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from charrnn import plugins
from charrnn.cli import help_page
from charrnn.errors import InputError, shorten
from charrnn.options.ranges import PATH, TEXT, get_traits, get_types, list_options
from charrnn.runs.folder import escape_interpolations

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")  # path options of every command

_WORD = re.compile(r"(\+\+|\+|~|)([^=]*)(?:=(.*))?", re.DOTALL)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_ONE_QUOTED = re.compile(_QUOTED, re.DOTALL)
_SEVERAL_QUOTED = re.compile(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})+", re.DOTALL)
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
_NO_FLAG = {  # of Hydra's flags, those that charrnn lacks
    "--config-path": "the main folder is charrnn's conf/; --config-dir DIR adds one",
    "--shell-completion": "the shell cannot complete options; --help=all lists them",
}


@dataclass(frozen=True)
class Override:
    """An override: ``NAME=VALUE``, ``+NAME=VALUE``, ``++NAME=VALUE``, ``~NAME`` or a bare word.

    Attributes:
        prefix: "", "+", "++" or "~".
        name: the option or the group.
        value: the typed value; None without an equals sign.
        texts: the literal value of a text or path option, or several in a sweep. Empty if Hydra
            parses the value.
    """

    prefix: str
    name: str
    value: str | None = None
    texts: tuple[str, ...] = ()

    @classmethod
    def from_word(cls, word: str) -> Override:
        """Return the override of a word; Hydra parses its value."""
        match = _WORD.fullmatch(word)
        assert match is not None  # any word matches
        prefix, name, value = match.groups()
        return cls(prefix, name, value)

    @classmethod
    def from_texts(cls, name: str, *texts: str) -> Override:
        """Return the override that sets an option to a text, or to each of several in a sweep."""
        value = texts[0] if len(texts) == 1 else ",".join(map(quote, texts))
        return cls("", name, value, texts)

    @property
    def is_bare_word(self) -> bool:
        return not self.prefix and self.value is None

    @property
    def key(self) -> str:
        """The dotted option: ``hydra.launcher`` for ``hydra/launcher=joblib``."""
        return self.name.partition("@")[0].replace("/", ".")

    @property
    def text(self) -> str | None:
        """The only text; None if there are several or Hydra parses the value."""
        return self.texts[0] if len(self.texts) == 1 else None

    @property
    def typed(self) -> str:
        """The word as the user types it."""
        return self.prefix + self.name + ("" if self.value is None else f"={self.value}")

    @property
    def word(self) -> str:
        """The word in Hydra's grammar. A plus also sets an option that exists."""
        is_option = "." in self.name and not {"/", "@"} & {*self.name}
        prefix = "++" if self.prefix == "+" and is_option else self.prefix
        value = ",".join(map(quote, self.texts)) if self.texts else self.value
        return prefix + self.name + ("" if value is None else f"={value}")

    def read_texts(self, kinds: Collection[Any] | None, multirun: bool) -> Override:
        """Return the override with its texts, if `kinds` are the types of a text option."""
        value = self.value
        if kinds is None or value is None or self.prefix == "~":
            return self
        if self.name in FOLDERS and "${" in value:
            return self  # Hydra resolves it in any case.
        if (type(None) in kinds and value == "null") or (
            list[str] in kinds and value.startswith("[") and value.endswith("]")
        ):
            return self
        if not _ONE_QUOTED.fullmatch(value) and not (multirun and _SEVERAL_QUOTED.fullmatch(value)):
            return replace(self, texts=(value,))
        if "${" in value:
            return self
        parser = OverridesParser.create()
        parsed = (parser.parse_override(f"x={quoted}") for quoted in _ONE_QUOTED.findall(value))
        return replace(self, texts=tuple(str(override.value()) for override in parsed))


def find_text_options(command: plugins.Command) -> dict[str, tuple[Any, ...]]:
    """Return the text and path options of a command, each with its possible types."""
    return dict.fromkeys(FOLDERS, (str,)) | {
        name: get_types(annotation)
        for name, annotation in list_options(command.get("OPTIONS"))
        if {TEXT, PATH} & {*get_traits(annotation)}
    }


def quote(text: str) -> str:
    """Quote `text` so that Hydra and OmegaConf together read it back unchanged."""
    # Both grammars unescape a backslash only before a quote or an interpolation.
    text = escape_interpolations(text)
    text = re.sub(r"(\\*)'", lambda run: run[1] * 2 + r"\'", text)
    text = re.sub(r"\\+\Z", lambda run: run[0] * 2, text)
    return f"'{text}'"


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
            if reason := _NO_FLAG.get(flag):
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

    command: plugins.Command
    flags: Namespace
    overrides: tuple[Override, ...]
    main_config: str

    @classmethod
    def from_words(cls, command: plugins.Command, words: list[str]) -> Line:
        """Parse the words after the command's name, and call the command's `prepare_line`."""
        flags, words = parse_flags(words, command.name)
        overrides = [Override.from_word(word) for word in words]
        option = command.get("FIRST_WORD")
        if option and overrides and overrides[0].is_bare_word:
            overrides[0] = Override("", option, overrides[0].name)
        overrides = [_replace_old_word(override, command) for override in overrides]
        line = cls(command, flags, tuple(overrides), flags.config_name or command.name)
        kinds, multirun = find_text_options(command), line.multirun
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

    def with_override(self, override: Override) -> Line:
        """Return the line with one more override."""
        return replace(self, overrides=(*self.overrides, override))

    def map_overrides(self, change: Callable[[Override], Override]) -> Line:
        """Return the line with each override changed."""
        return replace(self, overrides=tuple(map(change, self.overrides)))

    def as_job(self, words: Iterable[str]) -> Line:
        """Return the line of one job of a sweep; `words` are in Hydra's grammar."""
        overrides = tuple(map(Override.from_word, words))
        return replace(self.with_multirun(False), overrides=overrides)

    def with_multirun(self, multirun: bool) -> Line:
        """Return the line with or without the flag -m."""
        return replace(self, flags=Namespace(**{**vars(self.flags), "multirun": multirun}))

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


def _replace_old_word(override: Override, command: plugins.Command) -> Override:
    """Return the override of which a word is another form; refuse an option that does not exist."""
    word = f"{override.name}={override.value}"
    if override.prefix == "+" and override.name in help_page.read_page(command.name).groups:
        override = replace(override, prefix="")  # the group is in the defaults list
    if same := (command.get("SAME") or {}).get(word):
        return Override.from_word(same)
    for name, instead in (command.get("INSTEAD") or {}).items():
        if word == name or f"{override.name}.".startswith(f"{name}."):
            raise InputError(f"{shorten(override.typed)}: {instead}")
    return override


def _store(command: plugins.Command) -> None:
    """Put the YAML files of extras and other packages into Hydra's ConfigStore."""
    store = ConfigStore.instance().store
    for folder in plugins.list_conf_folders(command.name):
        for path in folder.rglob("*.yaml") if folder != plugins.CONF else ():
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
