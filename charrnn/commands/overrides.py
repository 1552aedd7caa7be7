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

from charrnn.errors import InputError

LISTS = {"input_txt", "data.input_txt"}
UNSETTABLE = {
    *("until", "output", "output_h5", "output_json", "resume", "init_from"),
    *("data.input_txt", "data.input_h5", "data.input_json", "data.url"),
}
TEXTS = {
    *("start_text", "checkpoint", "input", "hydra.run.dir", "hydra.sweep.dir"),
    *LISTS,
    *UNSETTABLE,
}

_OVERRIDE = re.compile(r"(\+{0,2})([^=+~]+)=(.*)", re.DOTALL)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_WHOLLY_QUOTED = re.compile(_QUOTED, re.DOTALL)
_SEVERAL_QUOTED = re.compile(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})+", re.DOTALL)


def literal(overrides: list[str], multirun: bool) -> list[str]:
    """Quote the texts and paths among `overrides` for Hydra; leave the others as they are."""
    return [_literal(override, multirun) for override in overrides]


def _literal(override: str, multirun: bool) -> str:
    match = _OVERRIDE.fullmatch(override)
    if not match or match[2] not in TEXTS:
        return override
    plus, name, value = match.groups()
    is_hydras = (
        _WHOLLY_QUOTED.fullmatch(value)
        or (multirun and _SEVERAL_QUOTED.fullmatch(value))
        or (name in LISTS and value.startswith("[") and value.endswith("]"))
        or (name in UNSETTABLE and value == "null")
    )
    return override if is_hydras else f"{plus}{name}={quoted(value)}"


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


def refuse_flags(arguments: list[str], known: set[str]) -> None:
    """Refuse what starts with a dash and is not among Hydra's flags.

    Raises:
        InputError: says how the option is written.
    """
    for argument in arguments:
        flag = argument.split("=")[0]
        if argument.startswith("-") and flag not in known:
            name = flag.lstrip("-").replace("-", "_")
            raise InputError(
                f"{flag}: no such flag; options have no dashes and are written "
                f"{name or 'NAME'}=VALUE (--help lists them)"
            )
