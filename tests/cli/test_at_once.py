"""50 runs and 50 sweeps started at once, all to be called alike: none shares a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

COUNT = 50
# each child waits until all are there; the command behind the door writes where it was put
CODE = """
import os
import sys
import types

from charrnn.__main__ import main
from charrnn.cli import compose, sweep

module = types.ModuleType("charrnn.commands.train")
module.run = lambda asked: (asked.folder / f"{os.getpid()}").touch()
sys.modules[module.__name__] = module
waiting, gate = os.pipe()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(gate)
        os.read(waiting, 1)
        os._exit(main(["train", *sys.argv[2:]]))
os.close(gate)
codes = [os.wait()[1] for _ in range(int(sys.argv[1]))]
sys.exit(any(codes))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["hydra.run.dir='runs/${now:%Y}'"], "runs/*/*"),
        (["-m", "hydra.sweep.dir='sweeps/${now:%Y}'", "seed=1,2"], "sweeps/*/*/*"),
    ],
)
def test_no_two_have_one_folder(tmp_path: Path, words: list[str], pattern: str) -> None:
    command = [sys.executable, "-c", CODE, str(COUNT), *words]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = list(tmp_path.glob(pattern))
    written = [path for path in left if path.name.isdecimal()]
    assert len(written) == COUNT * (2 if "-m" in words else 1)
    assert len({path.parent for path in written}) == len(written)
