"""How much of charrnn a command passes through before it does what it is there for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.model import Model
from tests import REPOSITORY
from tests.generation.models import trained_model
from tests.small_runs import SMALL


@pytest.mark.parametrize(
    ("words", "most", "libraries"),
    [
        (["train", *SMALL, "hydra.run.dir=run"], 68, {"torch", "lightning"}),
        (["sample", "checkpoint=model.safetensors", "length=1", "seed=1"], 37, set()),
    ],
    ids=["until the first step of a training", "until the first character of a sample"],
)
def test_few_files_are_entered(
    words: list[str], most: int, libraries: set[str], workplace: Path
) -> None:
    Model(trained_model()).save(workplace / "model.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "tests.entered", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    found = {line for line in done.stderr.splitlines() if line.startswith("charrnn/")}
    assert 20 < len(found) <= most, sorted(found)
    assert {"torch", "lightning", "numba"} & set(done.stderr.splitlines()) == libraries
