"""Separate Hydra's flags from the overrides of a command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from charrnn import plugins
from charrnn.cli import help_page
from charrnn.cli.hydra_errors import find_option
from charrnn.cli.overrides import is_bare
from charrnn.errors import InputError

# those of hydra.main, whose parser is not public
_SWITCHES = ("-m", "--multirun", "--resolve", "--hydra-help")
_WITH_VALUE = (
    *("-c", "--cfg", "-p", "--package", "-i", "--info", "-cd", "--config-dir"),
    *("-cn", "--config-name", "-cp", "--config-path"),
)


def split_flags(typed: Sequence[str], command: str) -> tuple[list[str], list[str]]:
    """Return the flags, each as ``--name=value``, and the overrides.

    Raise InputError for a flag that Hydra does not have.
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(typed)
    for word in rest:
        name, equals, _ = word.partition("=")
        if not word.startswith("-"):
            overrides.append(word)
        elif word in _SWITCHES or (equals and name in _WITH_VALUE):
            flags.append(word)
        elif word not in _WITH_VALUE:
            raise _explain_unknown_flag(word, [*typed], command)
        elif value := next(rest, ""):
            flags.append(f"{word}={value}")
        else:
            raise InputError(f"{word}: needs a value after it; --help shows how to write it")
    return flags, overrides


def _explain_unknown_flag(word: str, words: list[str], command: str) -> InputError:
    """Return the error for a flag: another program's words in charrnn's form, or a hint."""
    for module in plugins.import_modules(plugins.FOREIGN_WORDS):
        if (overrides := module.translate_words(command, words)) is not None:
            line = shlex.join(["charrnn", command, *overrides])
            return InputError(f"options have no dashes in charrnn; instead type: {line}")
    flag, _, value = word.partition("=")
    name, page = flag.lstrip("-").replace("-", "_"), help_page.read_page(command)
    option = find_option(name, [*page.groups, *page.options]) or name or "NAME"
    following = words[words.index(word) + 1 :][:1]
    value = value or "".join(each for each in following if is_bare(each)) or "VALUE"
    written = shlex.quote(f"{option}={value}")
    return InputError(f"{flag}: no such flag; options have no dashes: {written} (see --help)")
