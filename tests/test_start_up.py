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
    ("words", "libraries"),
    [
        (["train", *SMALL, "hydra.run.dir=run"], {"torch", "lightning"}),
        (["sample", "checkpoint=model.safetensors", "length=1", "seed=1"], set()),
    ],
    ids=["until the first step of a training", "until the first character of a sample"],
)
def test_a_command_imports_no_library_that_it_does_not_use(
    words: list[str], libraries: set[str], workplace: Path
) -> None:
    Model(make_model()).save(workplace / "model.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "tests.imported", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert {*done.stderr.splitlines()[-1].split()} == libraries


@pytest.mark.parametrize("word", ["optimized_metric=nope", "data.background=nope.txt"])
def test_a_name_that_does_not_exist_is_refused_before_slow_imports(
    word: str, workplace: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.imported", "train", *SMALL, word],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    line, libraries = done.stderr.splitlines()
    assert line.startswith("charrnn train: ")
    assert "nope" in line
    assert libraries == ""
