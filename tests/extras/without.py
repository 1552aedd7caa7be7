"""A copy of charrnn without some of its extras, and a run of it in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import REPOSITORY

EVERY = sorted(path.parent.name for path in (REPOSITORY / "charrnn/extras").glob("*/__init__.py"))

# --help, a training and a sample, by the same interpreter, which starts once
PROGRAM = """
import sys
from charrnn.__main__ import main
for words in (
    ["--help"],
    ["train", "--help"],
    ["train", "data.input_txt=my.txt", "trainer.max_steps=3", "model.hidden_size=8",
     "model.num_layers=1", "trainer.accelerator=cpu", "hydra.run.dir=run"],
    ["sample", "checkpoint=run", "length=30", "seed=1", "start_text=a text"],
):
    code = main(words)
    assert code == 0, (words, code)
    print(flush=True)
print(*(name for name in sys.modules if name.startswith("charrnn.extras.")))
"""


def copied(to: Path, without: Sequence[str]) -> Path:
    """Copy the package, its conf/ and its tests, without these extras."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("charrnn", "conf", "hydra_plugins", "tests"):
        shutil.copytree(REPOSITORY / name, to / name, ignore=ignore)
    shutil.copy(REPOSITORY / "pyproject.toml", to)
    for extra in without:
        shutil.rmtree(to / "charrnn" / "extras" / extra)
        shutil.rmtree(to / "tests" / "extras" / extra)
    return to


def python(tree: Path, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the interpreter on a copy.

    Args:
        place: the folder in which it stands.
    """
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
