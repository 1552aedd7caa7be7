"""Checks of the code switched off one by one, and whether the tests find it: python -m tests.checks

A check is an `if` whose body raises an error, or a call of a function such as `require`. Each is
switched off in a copy of the tree, where the tests of its file run. It is

    caught   a test failed
    missed   none did: its cases are refused for another reason, or there are none

A word of the command line picks the files whose names contain it. A run of all takes some twenty
minutes on two cores.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.mutants import copy_tree, tests_pass

# The files that read what others wrote, and their tests.
TESTS = {
    "charrnn/data.py": "tests/test_data.py tests/text tests/commands tests/test_bad_input.py",
    "charrnn/text/sources.py": "tests/text tests/test_bad_input.py",
    "charrnn/text/preprocessing.py": "tests/text tests/test_bad_input.py",
    "charrnn/text/vocabulary.py": "tests/text tests/models tests/test_data.py",
    "charrnn/counts/table.py": "tests/counts tests/models",
    "charrnn/models/model_file.py": "tests/models tests/counts",
    "charrnn/models/checkpoint.py": "tests/models tests/attacks",
    "charrnn/models/trained.py": "tests/models tests/test_model.py tests/training/test_counting.py",
    "charrnn/runs/folder.py": "tests/runs tests/attacks tests/commands/test_runs.py",
    "charrnn/extras/torch_rnn/torch_rnn_model.py": "tests/extras/torch_rnn",
}
_FUNCTIONS = ("require", "_require", "check", "_check")


class Check(NamedTuple):
    """A check in the text of a file: the lines and columns of what `new` takes the place of."""

    line: int
    column: int
    end_line: int
    end_column: int
    new: str


def find_checks(source: str) -> Iterator[Check]:
    """Yield the checks of a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
            yield _replace(node.test, "False")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func).rpartition(".")[2]
            if called.startswith(_FUNCTIONS):
                yield _replace(node, "pass")


def _replace(node: ast.expr | ast.stmt, new: str) -> Check:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return Check(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, new)


def switch_off(source: str, check: Check) -> str:
    """Return the text of a file without a check."""
    lines = source.encode().splitlines(keepends=True)  # ast counts bytes
    before = b"".join([*lines[: check.line - 1], lines[check.line - 1][: check.column]])
    after = b"".join([lines[check.end_line - 1][check.end_column :], *lines[check.end_line :]])
    return (before + check.new.encode() + after).decode()


def main(words: list[str]) -> int:
    missed = number = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        for name, tests in TESTS.items():
            if words and not any(word in name for word in words):
                continue
            path = tree / name
            source = path.read_text("utf-8")
            assert tests_pass(tree, tests), f"{tests} fail without a change"
            for check in sorted(find_checks(source)):
                path.write_text(switch_off(source, check), "utf-8")
                found = not tests_pass(tree, tests)
                number, missed = number + 1, missed + (not found)
                print(f"{'caught' if found else 'missed'} {name}:{check.line}", flush=True)
            path.write_text(source, "utf-8")
    print(f"{number} checks, {missed} missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
