r"""Texts and paths on the command line, character for character.

Hydra's grammar fails on ``Zür``, ``What's``, ``(hi)`` and line breaks, takes
``O Romeo, Romeo`` for a sweep and ``123`` for a number; OmegaConf then looks for ``${`` in
what is left. So before Hydra sees the command line, the value of each option that is a
text or a path is put into quotes for the one and its ``${`` escaped for the other.

What Hydra's grammar still gets to read of such an option:

- a value that is wholly a quoted string (its ``${...}`` is Hydra's then too);
- with ``-m``, several of these with commas between: a sweep over texts;
- a bracketed list, where the option takes one;
- the bare word ``null``, where the option may be unset.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from charrnn.cli.checked_options import declared, kind_of, kinds_of, traits_of
from charrnn.options.ranges import PATH, TEXT

# of Hydra's own, in every command
OF_HYDRA = ("hydra.run.dir", "hydra.sweep.dir")


class Texts(NamedTuple):
    """The options of a command that are texts or paths.

    Attributes:
        lists: those that may be a list.
        unsettable: those that may be null.
    """

    names: set[str]
    lists: set[str]
    unsettable: set[str]


_OVERRIDE = re.compile(r"(\+{0,2})([^=+~]+)=(.*)", re.DOTALL)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_WHOLLY_QUOTED = re.compile(_QUOTED, re.DOTALL)
_SEVERAL_QUOTED = re.compile(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})+", re.DOTALL)


def texts(command: str) -> Texts:
    """Find them by the traits and types that are declared for each option."""
    result = Texts(set(OF_HYDRA), set(), set())
    for name, hint in declared(command):
        if not traits_of(hint) & {TEXT, PATH}:
            continue
        kinds = kinds_of(kind_of(hint))
        result.names.add(name)
        if list[str] in kinds:
            result.lists.add(name)
        if type(None) in kinds:
            result.unsettable.add(name)
    return result


def literal(overrides: list[str], command: str, multirun: bool) -> list[str]:
    """Quote the texts and paths among `overrides` for Hydra; leave the others as they are."""
    known = texts(command)
    return [_literal(override, known, multirun) for override in overrides]


def _literal(override: str, known: Texts, multirun: bool) -> str:
    match = _OVERRIDE.fullmatch(override)
    if not match or match[2] not in known.names:
        return override
    plus, name, value = match.groups()
    is_hydras = (
        _WHOLLY_QUOTED.fullmatch(value)
        or (multirun and _SEVERAL_QUOTED.fullmatch(value))
        or (name in known.lists and value.startswith("[") and value.endswith("]"))
        or (name in known.unsettable and value == "null")
    )
    return override if is_hydras else f"{plus}{name}={quoted(value)}"


def as_typed(override: str, command: str = "train") -> str:
    """Undo our quoting where that gives the same override."""
    match = _OVERRIDE.fullmatch(override)
    if not match or not _WHOLLY_QUOTED.fullmatch(match[3]) or "\\" in match[3]:
        return override
    bare = f"{match[1]}{match[2]}={match[3][1:-1]}"
    return bare if literal([bare], command, multirun=False) == [override] else override


def quoted(text: str) -> str:
    """Write `text` so that Hydra's grammar and OmegaConf together read it back unchanged."""
    if text == "???":
        # this, OmegaConf's mark for "missing", has no escape: hide it from view
        return r"""'${oc.decode:"\'???\'"}'"""
    # both grammars read backslashes only where they stand before what they escape
    text = re.sub(r"(\\*)\$\{", lambda run: run[1] * 2 + r"\${", text)
    text = re.sub(r"(\\*)'", lambda run: run[1] * 2 + r"\'", text)
    text = re.sub(r"\\+\Z", lambda run: run[0] * 2, text)
    return f"'{text}'"
