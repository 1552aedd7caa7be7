"""The libraries that a command imports before it works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.model import Model
from tests import REPOSITORY
from tests.generation.models import make_model
from tests.small_runs import SMALL


@pytest.mark.parametrize(
    ("words", "code", "libraries"),
    [
        # until the first step of a training, and the first character of a sample
        (["train", *SMALL, "hydra.run.dir=run"], 0, {"torch", "lightning"}),
        (["sample", "checkpoint=model.safetensors", "length=1", "seed=1"], 0, set()),
        # until a name that does not exist is refused
        (["train", *SMALL, "optimized_metric=nope"], 2, set()),
        (["train", *SMALL, "data.background=nope.txt"], 2, set()),
    ],
)
def test_a_command_imports_no_library_that_it_does_not_use(
    words: list[str], code: int, libraries: set[str], workplace: Path
) -> None:
    Model(make_model()).save(workplace / "model.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "tests.imported", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code
    assert ("nope" in done.stderr) == (code == 2)
    assert {*done.stderr.splitlines()[-1].split()} == libraries
