"""Separate Hydra's flags from the overrides of a command line."""

from __future__ import annotations

from collections.abc import Sequence

from charrnn.cli.overrides import is_bare
from charrnn.errors import InputError

# those of hydra.main, whose parser is not public; True: the next word is their value
_FLAGS = {
    **dict.fromkeys(("-m", "--multirun", "--resolve", "--hydra-help", "-i", "--info"), False),
    **dict.fromkeys(("-c", "--cfg", "-p", "--package"), True),
    **dict.fromkeys(("-cd", "--config-dir", "-cn", "--config-name", "-cp", "--config-path"), True),
}


def split_flags(typed: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags, each as ``--name=value``, and the overrides.

    Raise InputError for a flag that Hydra does not have.
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = [*typed]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        name, equals, _ = word.partition("=")
        if name not in _FLAGS:
            flag = name.lstrip("-").replace("-", "_") or "NAME"
            raise InputError(
                f"{name}: no such flag; options have no dashes and are written {flag}=VALUE "
                f"(--help lists them)"
            )
        needs_value = _FLAGS[name] and not equals
        if needs_value and not rest:
            raise InputError(f"{name}: needs a value after it; --help shows how to write it")
        may_take_value = word in ("-i", "--info") and bool(rest) and is_bare(rest[0])
        flags.append(f"{word}={rest.pop(0)}" if needs_value or may_take_value else word)
    return flags, overrides
