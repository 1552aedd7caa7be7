"""Each extra can be deleted: the rest works, and what the extra had is unknown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import REPOSITORY

EXTRAS = sorted(path.parent.name for path in (REPOSITORY / "charrnn/extras").glob("*/__init__.py"))
REFUSED = {
    "page": ("export output=x.html", "export: no such command"),
    "novelty": ("sample checkpoint=run novel=40", "novel, report: this charrnn was installed with"),
    "search": ("train -m sweep=tpe model.dropout=interval(0,0.5)", "sweep=tpe: no such "),
    "serve": ("serve", "serve: no such command"),
    "torch_rnn": ("train -rnn_size 256", "-rnn_size: no such flag"),
}
# help, a training, a sample and what is refused, by the same interpreter, which starts once
PROGRAM = """
import sys
from charrnn.__main__ import main
for words in (
    ["--help"],
    ["train", "--help"],
    ["train", "data.input_txt=my.txt", "trainer.max_steps=3", "model.hidden_size=8",
     "model.num_layers=1", "trainer=cpu", "threads=1", "trainer.precision=32-true",
     "callbacks.samples.length=0", "hydra.run.dir=run"],
    ["sample", "checkpoint=run", "length=30", "seed=1", "start_text=a text"],
):
    code = main(words)
    assert code == 0, (words, code)
for line in sys.argv[1:]:
    assert main(line.split()) == 2, line
"""
TESTS = ("tests/cli", "tests/commands", "tests/test_documents.py", "tests/test_main.py")


def copy_package(to: Path, without: Sequence[str]) -> None:
    """Copy the package, its conf/ and its tests, without these extras."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("charrnn", "conf", "docs", "hydra_plugins", "tests"):
        shutil.copytree(REPOSITORY / name, to / name, ignore=ignore)
    for name in ("pyproject.toml", "Makefile", "README.md", "CONTRIBUTING.md"):
        shutil.copy(REPOSITORY / name, to)
    for extra in without:
        shutil.rmtree(to / "charrnn" / "extras" / extra)
        shutil.rmtree(to / "tests" / "extras" / extra)
    if "search" in without:
        shutil.rmtree(to / "conf" / "sweep")


EACH = [pytest.param([name], TESTS, marks=pytest.mark.slow, id=name) for name in EXTRAS]


@pytest.mark.parametrize(("without", "tests"), [pytest.param(EXTRAS, (), id="all"), *EACH])
def test_the_core_works_without_extras(
    without: Sequence[str], tests: Sequence[str], tmp_path: Path
) -> None:
    """Check what a copy shows, trains, writes and refuses, and that these tests pass in it."""
    tree, place = tmp_path / "tree", tmp_path / "place"
    copy_package(tree, without)

    def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command, env = [sys.executable, *words], {**os.environ, "PYTHONPATH": str(tree)}
        env.pop("PYTEST_XDIST_WORKER", None)  # by which `run_cache` would share other trainings
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)

    place.mkdir()
    (place / "my.txt").write_text("a text of one's own, again and again. " * 40)
    refusals = [REFUSED[extra] for extra in without if extra in REFUSED]
    done = python(place, "-c", PROGRAM, *(line for line, _ in refusals))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (place / "run" / "model.safetensors").is_file()
    assert (place / "run" / "report.html").exists() == ("report" not in without)
    for _, refusal in refusals:
        assert refusal in done.stderr
    if tests:
        ran = python(tree, "-m", "pytest", "-q", "-n", "0", "-x", *tests)
        assert ran.returncode == 0, ran.stdout[-3000:]
