"""Runs in folders of any name: resumed, swept and started from, as what they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli.overrides import quote
from tests.small_runs import Train

NAMES = ["What's a,b=[c]\n{é: (1)}", "null"]
LAST = "checkpoints/last.ckpt"


@pytest.fixture
def run(run_copy: Train) -> Path:
    """Train a finished run, before `door`, which trains nothing."""
    return run_copy("trainer.max_steps=2")


@pytest.mark.parametrize("name", NAMES)
def test_any_name(name: str, run: Path, door: Any, tmp_path: Path) -> None:
    run = run.rename(tmp_path / name)
    path = f"./{name}" if name == "null" else name
    for word in (f"resume={path}", f"++resume={quote(name)}"):
        assert door("train", word, "seed=3").code == 0, word
        asked = door.asked.pop()
        assert os.path.samefile(asked.folder, run)
        # SMALL chooses adam, and so does the record
        assert (asked.hydra.runtime.choices.optimizer, asked.config.seed) == ("adam", 3)
    assert door("train", f"resume={path}", "hydra.run.dir=other").code == 0
    assert door.asked.pop().folder == tmp_path / "other"
    assert door("train", f"resume={path}/{LAST}").code == 0
    asked = door.asked.pop()
    assert asked.hydra.runtime.choices.optimizer == "adam"
    assert tmp_path / "outputs" in asked.folder.parents


def test_any_name_in_a_sweep(run: Path, door: Any, tmp_path: Path) -> None:
    """Start a sweep and continue it; its jobs start from the same model."""
    run = run.rename(tmp_path / (name := NAMES[0]))
    sweep = ["-m", f"hydra.sweep.dir=s/{name}", "seed=1,2"]
    assert door("train", *sweep, f"init_from={name}", "resume=auto").code == 0
    asked = [door.asked.pop() for _ in range(2)]
    assert {a.folder.parent for a in asked} == {tmp_path / "s" / name}
    assert {a.config.init_from for a in asked} == {str(run)}
    (tmp_path / "outputs" / "b").mkdir(parents=True)
    run.rename(tmp_path / "outputs" / "b" / name)
    assert door("train", "-m", f"init_from={quote(f'b/{name}')},'other'").code == 0
    assert door.asked[0].config.init_from == str(tmp_path / "outputs" / "b" / name)
