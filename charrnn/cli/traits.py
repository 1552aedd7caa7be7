"""Every option of a command with what is declared of it, and those that have a trait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from charrnn.cli import conf
from charrnn.cli.building import hints_of, kind_of, traits_of
from charrnn.cli.options import SCHEMAS
from charrnn.options.ranges import Trait


def declared(command: str) -> Iterator[tuple[str, Any]]:
    """The dotted name of each option with its annotation; in nodes, those of every choice."""
    yield from _below(SCHEMAS[command], "")
    if targets := conf.page(command).targets:
        from charrnn.cli.nodes import TARGETS

        for path, names in targets.items():
            for name in names:
                yield from _below(TARGETS[name], f"{path}.")


def having(command: str, trait: Trait) -> frozenset[str]:
    """The dotted names of a command's options that have a trait."""
    return frozenset(name for name, hint in declared(command) if trait in traits_of(hint))


def _below(schema: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, hint in hints_of(schema).items():
        kind = kind_of(hint)
        if is_dataclass(kind):
            yield from _below(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, hint
