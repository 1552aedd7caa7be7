"""Which options of a command have a trait, found where each option is declared."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from charrnn.cli import conf
from charrnn.cli.building import hints_of, kind_of, traits_of
from charrnn.cli.options import SCHEMAS
from charrnn.cli.ranges import Trait


def having(command: str, trait: Trait) -> frozenset[str]:
    """The dotted names of a command's options that have a trait."""
    found: set[str] = set()

    def collect(schema: Any, prefix: str) -> None:
        for name, hint in hints_of(schema).items():
            if is_dataclass(kind := kind_of(hint)):
                collect(kind, f"{prefix}{name}.")
            elif trait in traits_of(hint):
                found.add(prefix + name)

    collect(SCHEMAS[command], "")
    if targets := conf.page(command).targets:
        from charrnn.cli.nodes import TARGETS

        for path, names in targets.items():
            for name in names:
                collect(TARGETS[name], f"{path}.")
    return frozenset(found)
