"""Imports point downwards only, those by name too, and the core imports no extra."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import charrnn

PACKAGE = Path(charrnn.__file__).parent
# from the ground up; a folder that is not there is no matter
ORDER = (
    *("options", "text", "counts", "models", "networks", "generation", "evaluation", "training"),
    *("runs", "cli", "commands", "extras"),
)
# the front doors, and the one place that reads the tables of commands and extras
ABOVE = {"__init__.py", "__main__.py", "plugins.py"}


def list_named_modules(path: Path) -> Iterator[str]:
    """Yield the modules of charrnn that a file imports or names as a text."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("charrnn."):
            yield str(node.value).replace(":", ".")


def rooms(path: Path) -> Iterator[str]:
    for name in list_named_modules(path):
        package, _, rest = f"{name}.".partition(".")
        if package == "charrnn" and (room := rest.partition(".")[0]) in ORDER:
            yield room


def test_folders_import_from_those_below_them_only() -> None:
    """Check that files beside the folders import no command and no extra."""
    beside = {path for path in PACKAGE.glob("*.py") if path.name not in ABOVE}
    above = dict.fromkeys(beside, ("cli", "commands", "extras"))
    for height, folder in enumerate(ORDER):
        above |= dict.fromkeys((PACKAGE / folder).rglob("*.py"), ORDER[height + 1 :])
    wrong = {(path, room) for path, higher in above.items() for room in rooms(path)
             if room in higher}  # fmt: skip
    # `CELLS` may name a module of networks/, which is imported when a network is built.
    assert wrong <= {(PACKAGE / "options" / "cells.py", "networks")}


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_the_front_doors_name_no_extra(name: str) -> None:
    assert not any(n.startswith("charrnn.extras") for n in list_named_modules(PACKAGE / name))


def test_no_circle_of_files() -> None:
    """Imports inside functions count, those for a type checker do not."""
    paths = [path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")]
    files = {".".join(p.with_suffix("").parts).removesuffix(".__init__"): p for p in paths}
    graph = {}
    for name, path in files.items():
        tree = ast.parse((PACKAGE.parent / path).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                node.body = []
        imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
        wanted = {(f"{n.module}.{alias.name}", n.module) for n in imported for alias in n.names}
        found = {whole if whole in files else module for whole, module in wanted}
        graph[name] = found & files.keys() - {name}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle
