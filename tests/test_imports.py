"""Imports point downwards only, those by name too, and the core imports no extra."""

from __future__ import annotations

import ast
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
    assert wrong == set()


@pytest.mark.parametrize("name", ["plugins.py", "__init__.py", "__main__.py"])
def test_the_front_doors_name_no_extra(name: str) -> None:
    found = {n for n in list_named_modules(PACKAGE / name) if n.startswith("charrnn.extras")}
    assert found <= {"charrnn.extras."}  # and the extras below it


def test_no_two_files_have_a_test_of_the_same_name() -> None:
    """Check the names, so that a report of failures names one test."""
    files = [
        ast.parse(path.read_text("utf-8")) for path in Path(__file__).parent.rglob("test_*.py")
    ]
    names = [node.name for file in files for node in file.body if isinstance(node, ast.FunctionDef)]
    tests = [name for name in names if name.startswith("test_")]
    assert {name for name in tests if tests.count(name) > 1} == set()
