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
# a line that an extra adds to the help of a command, and one with an option of it
HELP = {"page": "  export  ", "inspect": "  inspect  ", "search": "sweep=tpe", "serve": "  serve  "}
REFUSED = {
    "page": ("export output=x.html", "export: no such command"),
    "inspect": ("inspect", "inspect: no such command"),
    "novelty": (
        "sample checkpoint=run novel=40",
        "novel, report: this charrnn was installed without",
    ),
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
    ["train", "--help=all"],
    ["sample", "--help"],
    ["train", "data.input_txt=my.txt", "trainer.max_steps=3", "model.hidden_size=8",
     "model.num_layers=1", "trainer.accelerator=cpu", "hydra.run.dir=run"],
    ["sample", "checkpoint=run", "length=30", "seed=1", "start_text=a text"],
):
    code = main(words)
    assert code == 0, (words, code)
    print(flush=True)
print(*(name for name in sys.modules if name.startswith("charrnn.extras.")))
for line in sys.argv[1:]:
    assert main(line.split()) == 2, line
"""
CORE = ("tests/test_imports.py",)
MORE = ("tests/cli", "tests/commands", "tests/test_documents.py", "tests/test_main.py")


def copy_package(to: Path, without: Sequence[str]) -> Path:
    """Copy the package, its conf/ and its tests, without these extras."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("charrnn", "conf", "docs", "hydra_plugins", "tests"):
        shutil.copytree(REPOSITORY / name, to / name, ignore=ignore)
    for name in ("pyproject.toml", "Makefile", "README.md", "CONTRIBUTING.md"):
        shutil.copy(REPOSITORY / name, to)
    for extra in without:
        shutil.rmtree(to / "charrnn" / "extras" / extra)
        shutil.rmtree(to / "tests" / "extras" / extra)
    return to


def python(tree: Path, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the interpreter on a copy, in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def check(tree: Path, place: Path, without: Sequence[str], tests: Sequence[str]) -> None:
    """Check what a copy shows, trains, writes and refuses. The core's tests pass in it."""
    place.mkdir()
    (place / "my.txt").write_text("a text of one's own, again and again. " * 40)
    refusals = [REFUSED[extra] for extra in without if extra in REFUSED]
    done = python(tree, place, "-c", PROGRAM, *(line for line, _ in refusals))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (place / "run" / "model.safetensors").is_file()
    for extra, line in HELP.items():
        assert (line in done.stdout) == (extra not in without), extra
    assert ("charrnn.extras.report" in done.stdout) == ("report" not in without)
    assert (place / "run" / "report.html").exists() == ("report" not in without)
    for _, refusal in refusals:
        assert refusal in done.stderr
    ran = python(tree, tree, "-m", "pytest", "-q", "-n", "0", "-x", *tests)
    assert ran.returncode == 0, ran.stdout[-3000:]


def test_the_core_works_without_two_of_them(tmp_path: Path) -> None:
    two = ["page", "search"]
    check(copy_package(tmp_path / "tree", two), tmp_path / "place", two, CORE)


@pytest.mark.slow
@pytest.mark.parametrize("without", [*([name] for name in EXTRAS), EXTRAS], ids="-".join)
def test_more_of_the_core_works_without(without: list[str], tmp_path: Path) -> None:
    check(copy_package(tmp_path / "tree", without), tmp_path / "place", without, MORE)
