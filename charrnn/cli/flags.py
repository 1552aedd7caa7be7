"""Parse the flags of a command line: those of hydra.main, whose parser is not public."""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentParser, Namespace
from typing import Any, NoReturn

from charrnn import plugins
from charrnn.errors import InputError

_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_FLAGS: dict[tuple[str, ...], dict[str, Any]] = {
    ("--multirun", "-m"): {"action": "store_true"},
    ("--cfg", "-c"): {"choices": ("job", "hydra", "all")},
    ("--info", "-i"): {"nargs": "?", "const": "all", "choices": _INFO},
    ("--package", "-p"): {},
    ("--resolve",): {"action": "store_true"},
    ("--config-dir", "-cd"): {},
    ("--config-name", "-cn"): {},
    ("--config-path", "-cp"): {},
    ("--hydra-help",): {"action": "store_true"},
}
_FOLDERS = ("config_dir", "config_path")


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help shows how to write it")


def parse_flags(words: list[str], command: str) -> tuple[Namespace, list[str]]:
    """Return the flags and the overrides. Raise InputError if a flag is unknown.

    The flags also have `printing`, the words that make Hydra print something and run nothing.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    for names, settings in _FLAGS.items():
        parser.add_argument(*names, **settings)
    # argparse would split -model into -m and -odel.
    for flag in (word.partition("=")[0] for word in words if word.startswith("-")):
        if not any(flag in names for names in _FLAGS):
            raise _explain_unknown_flag(flag, words, command)
    flags = parser.parse_intermixed_args(words)
    overrides = vars(flags).pop("overrides")
    if bool(flags.multirun) + bool(flags.cfg) + bool(flags.info) > 1:
        raise InputError("-m, --cfg, --info: give only one of them")
    if (flags.package or flags.resolve) and not flags.cfg:
        raise InputError("--package and --resolve need --cfg")
    for name in _FOLDERS:
        folder = vars(flags)[name]
        if folder is not None and not os.path.isdir(folder):
            raise InputError(f"--{name.replace('_', '-')} {folder}: is not a folder")
    names = ("cfg", "info", "package", "resolve", "hydra_help")
    given = {f"--{name.replace('_', '-')}": vars(flags)[name] for name in names}
    flags.printing = [flag if v is True else f"{flag}={v}" for flag, v in given.items() if v]
    return flags, overrides


def _explain_unknown_flag(flag: str, words: list[str], command: str) -> InputError:
    """Return the error for a flag: another program's words in charrnn's form, or a hint."""
    for module in plugins.import_modules("words"):
        if overrides := module.translate_words(command, words):
            line = shlex.join(["charrnn", command, *overrides])
            return InputError(f"options have no dashes in charrnn; instead type: {line}")
    name = flag.lstrip("-").replace("-", "_") or "NAME"
    return InputError(
        f"{flag}: no such flag; options have no dashes and are written {name}=VALUE "
        f"(--help=all lists them)"
    )
