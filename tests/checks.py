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


def switch_off_each(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each check of a file, and the text of the file without it."""
    lines = source.encode().splitlines(keepends=True)  # ast counts bytes
    for node in ast.walk(ast.parse(source)):
        part: ast.expr | ast.stmt
        if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
            part, new = node.test, b"False"
        elif isinstance(node, ast.Expr) and _is_check(node.value):
            part, new = node, b"pass"
        else:
            continue
        assert part.end_lineno is not None
        before = [*lines[: part.lineno - 1], lines[part.lineno - 1][: part.col_offset]]
        after = [lines[part.end_lineno - 1][part.end_col_offset :], *lines[part.end_lineno :]]
        yield part.lineno, b"".join([*before, new, *after]).decode()


def _is_check(node: ast.expr) -> bool:
    """Return whether an expression is a call of a function such as `require`."""
    if not isinstance(node, ast.Call):
        return False
    return ast.unparse(node.func).rpartition(".")[2].startswith(_FUNCTIONS)


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
            for line, changed in sorted(switch_off_each(source)):
                path.write_text(changed, "utf-8")
                found = not tests_pass(tree, tests)
                number, missed = number + 1, missed + (not found)
                print(f"{'caught' if found else 'missed'} {name}:{line}", flush=True)
            path.write_text(source, "utf-8")
    print(f"{number} checks, {missed} missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
