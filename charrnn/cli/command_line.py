r"""The words of a command line: flags of Hydra's, and overrides whose texts are literal.

Hydra's own parser takes more flags: prefixes, a rerun from a pickle, completion.

Hydra's grammar fails on ``Zür``, ``What's``, ``(hi)`` and line breaks, takes ``O Romeo, Romeo`` for
a sweep and ``123`` for a number; OmegaConf then looks for ``${`` in what is left. So before Hydra
sees the command line, the value of each option that is a text or a path is put into quotes for the
one and its ``${`` escaped for the other. Left to Hydra's grammar are of such an option:

- a value that is wholly a quoted string (its ``${...}`` is Hydra's then too);
- with ``-m``, several of these with commas between: a sweep over texts;
- a bracketed list, where the option takes one;
- the bare word ``null``, where the option may be unset.
"""

from __future__ import annotations

import os
import re
import shlex
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.cli.checked_options import declared, kinds_of
from charrnn.errors import InputError
from charrnn.options.ranges import PATH, TEXT
from charrnn.plugins import Command
from charrnn.runs.recorded_config import escaped

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


def key_of(word: str) -> str:
    """The option that an override sets, dotted: ``model.kind`` of ``model.kind=gru``."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


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
            answers = [part.translated(command, words) for part in plugins.parts("words")]
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


def require_folder(word: str) -> None:
    """Refuse a folder that is none, and one in which paths would be others."""
    name, _, value = word.partition("=")
    if name == "hydra.job.chdir" and value.lower() != "false":
        raise InputError(f"{word}: charrnn stays in the folder where it is started")
    if name in _FOLDERS and (value == "" or ("${" in value and value[0] not in "'\"")):
        raise InputError(f"{word}: takes a folder, and Hydra can make none with ${{ in its path")


# Literal texts

_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")  # of every command
_OVERRIDE = re.compile(r"(\+{0,2})([^=+~]+)=(.*)", re.DOTALL)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_WHOLLY_QUOTED = re.compile(_QUOTED, re.DOTALL)
_SEVERAL_QUOTED = re.compile(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})+", re.DOTALL)


def text_options(command: str) -> dict[str, tuple[Any, ...]]:
    """The options of a command that are texts or paths, each with the types that it may have."""
    return dict.fromkeys(_FOLDERS, (str,)) | {
        name: kinds_of(hint)
        for name, hint in declared(plugins.options_of(command))
        if {TEXT, PATH} & {*getattr(hint, "__metadata__", ())}
    }


def quote_texts(overrides: list[str], command: str, multirun: bool) -> list[str]:
    """Quote the texts and paths among `overrides` for Hydra; leave the others as they are."""
    options = text_options(command)
    return [_quote_text(override, options, multirun) for override in overrides]


def _quote_text(override: str, options: dict[str, tuple[Any, ...]], multirun: bool) -> str:
    match = _OVERRIDE.fullmatch(override)
    if not match or match[2] not in options:
        return override
    plus, name, value = match.groups()
    is_hydras = (
        _WHOLLY_QUOTED.fullmatch(value)
        or (multirun and _SEVERAL_QUOTED.fullmatch(value))
        or (list[str] in options[name] and value.startswith("[") and value.endswith("]"))
        or (type(None) in options[name] and value == "null")
    )
    return override if is_hydras else f"{plus}{name}={quoted(value)}"


def quoted(text: str) -> str:
    """Write `text` so that Hydra's grammar and OmegaConf together read it back unchanged."""
    if text == "???":
        # this, OmegaConf's mark for "missing", has no escape: hide it from view
        return r"""'${oc.decode:"\'???\'"}'"""
    # both grammars read backslashes only where they stand before what they escape
    text = escaped(text)
    text = re.sub(r"(\\*)'", lambda run: run[1] * 2 + r"\'", text)
    text = re.sub(r"\\+\Z", lambda run: run[0] * 2, text)
    return f"'{text}'"


# The whole line


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        typed: the overrides as they were written.
        words: the same in Hydra's grammar, the texts among them quoted.
        main_config: the name of that which they are composed over.
        multirun: whether values may be several.
    """

    command: Command
    flags: Namespace
    typed: list[str]
    words: list[str]
    main_config: str
    multirun: bool

    @property
    def is_simple(self) -> bool:
        """Whether Hydra has nothing to do but to compose."""
        asks = any(word.lstrip("+~").startswith("hydra") for word in self.words)
        return (
            not any(vars(self.flags).values()) and not self.command.get("MAKES_FOLDER") and not asks
        )

    @classmethod
    def of(cls, command: Command, words: list[str]) -> Line:
        """Read the words that follow a command; what they are composed over is put in its place."""
        flags, words = parse_flags(words, command.name)
        option = command.get("FIRST_WORD")
        if option and words and re.fullmatch(r"[^+~=][^=]*", words[0]):
            words = [f"{option}={words[0]}", *words[1:]]
        multirun = flags.multirun or any(w.startswith(("sweep=", "hydra.mode=M")) for w in words)
        if prepare := command.get("prepare_overrides"):
            words = prepare(words, multirun)
        for word in words:
            require_folder(word)
        typed, name = words, command.name
        words = quote_texts(words, name, multirun)
        _store(command)
        if over := command.get("main_config"):
            name, words = over(words)
        return cls(command, flags, typed, words, flags.config_name or name, multirun)

    @property
    def show_only(self) -> bool:
        """Whether something is to be printed, and nothing run."""
        return bool(self.flags.cfg or self.flags.info or self.flags.hydra_help)

    def hydras_flags(self) -> list[str]:
        """The flags as Hydra reads them."""
        given = {f"--{name.replace('_', '-')}": v for name, v in vars(self.flags).items() if v}
        return [flag if value is True else f"{flag}={value}" for flag, value in given.items()]

    @property
    def main_folder(self) -> str:
        """Where the main config lies: Hydra reads it before it looks into hydra.searchpath."""
        own = Path(self.flags.config_dir or os.devnull).absolute()
        return str(own if (own / f"{self.main_config}.yaml").is_file() else plugins.CONF)

    def compose(self, words: list[str]) -> DictConfig:
        """Compose some words as one run; inside of `initialize_hydra`."""
        if self.flags.config_dir:
            places = (plugins.CONF, os.path.abspath(self.flags.config_dir))
            further = [quoted(f"file://{f}") for f in places if str(f) != self.main_folder]
            words = [*words, f"hydra.searchpath=[{','.join(further)}]"]
        return hydra.compose(self.main_config, words, return_hydra_config=True)


def _store(command: Command) -> None:
    """Let Hydra find the YAML files that stand outside of conf/: an extra's, another package's."""
    store = ConfigStore.instance().store
    if paths := plugins.added_options(command.name):
        added = OmegaConf.merge(*map(OmegaConf.load, paths))
        store(command.name, added, group="added_by_extras")
    for folder in plugins.conf_folders(command.name):
        for path in folder.rglob("*.yaml") if folder != plugins.CONF else ():
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
