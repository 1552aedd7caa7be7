"""Faults put into the code on purpose, and whether the tests find them: python -m tests.mutants

Each mutant is applied in a copy of the tree, its tests run there, and it is

    caught   a test failed
    missed   none did: the tests have a hole
    stale    its old text does not stand in exactly one of its files any more, or a file of tests
             is gone: who rewrites a part writes its mutants anew
    broken   its tests fail without it

A word of the command line picks the mutants whose names contain it. A run of all takes some
twenty minutes on one core; the tests of a mutant should take seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

from tests import REPOSITORY

SECONDS = 600  # for the tests of one mutant; one that hangs is caught


class Mutant(NamedTuple):
    """An entry of mutants.yaml, which explains it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


def copy_tree(folder: Path) -> Path:
    """Copy the files that git knows into a folder, and return their root."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, text=True)
    for name in listed.split("\0"):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


def read_mutants() -> list[Mutant]:
    table = yaml.safe_load((REPOSITORY / "tests" / "mutants.yaml").read_text("utf-8"))
    return [Mutant(**entry) for entry in table]


def find_file(mutant: Mutant, tree: Path) -> Path | None:
    """Return the file that has the mutant's old text once; None if it is stale."""
    has_tests = all((tree / name.partition("::")[0]).exists() for name in mutant.tests.split())
    places = [
        path
        for path in tree.glob(mutant.file)
        for _ in range(path.read_text("utf-8").count(mutant.old))
    ]
    return places[0] if has_tests and len(places) == 1 else None


def tests_pass(tree: Path, tests: str) -> bool:
    """Return whether the tests pass in a copy of the tree."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider"]
    # before the checkout in which charrnn is installed, for what a test starts, too
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [*command, *tests.split()], cwd=tree, env=environment, timeout=SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def outcome(mutant: Mutant, tree: Path, healthy: dict[str, bool]) -> str:
    """Return the result of a mutant; `healthy` caches the tests that pass without one."""
    if (path := find_file(mutant, tree)) is None:
        return "stale"
    if mutant.tests not in healthy:
        healthy[mutant.tests] = tests_pass(tree, mutant.tests)
    if not healthy[mutant.tests]:
        return "broken"
    whole = path.read_text("utf-8")
    try:
        path.write_text(whole.replace(mutant.old, mutant.new), "utf-8")
        return "missed" if tests_pass(tree, mutant.tests) else "caught"
    finally:
        path.write_text(whole, "utf-8")


def main(words: list[str]) -> int:
    mutants = [m for m in read_mutants() if not words or any(word in m.name for word in words)]
    outcomes: list[str] = []
    healthy: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        for mutant in mutants:
            began = time.monotonic()
            outcomes.append(outcome(mutant, tree, healthy))
            seconds = time.monotonic() - began
            print(f"{outcomes[-1]:7} {mutant.name} ({seconds:.0f} s)", flush=True)
    counted = {name: outcomes.count(name) for name in ("caught", "missed", "stale", "broken")}
    print(", ".join(f"{number} {name}" for name, number in counted.items()))
    return int(outcomes.count("caught") != len(outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
