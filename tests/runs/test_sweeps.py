"""A sweep goes on where it was interrupted, each job in its own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.small_runs import SMALL, Train, assert_same, tensors

SWEEP = ("train", "-m", *SMALL, "hydra.sweep.dir=sweep", "model.dropout=0.0,0.1,0.2")


def test_finished_gone_on_with_or_begun(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train("model.dropout=0.0", "trainer.max_steps=12", folder="sweep/0_model.dropout=0.0")
    train("model.dropout=0.1", "trainer.max_steps=5", folder="sweep/1_model.dropout=0.1")
    whole = train("model.dropout=0.1", "trainer.max_steps=12", folder="whole")
    finished = (workplace / "sweep/0_model.dropout=0.0/checkpoints/last.ckpt").read_bytes()
    capfd.readouterr()
    assert main([*SWEEP, "trainer.max_steps=12", "resume=auto"]) == 0
    said = capfd.readouterr().err
    assert "this run is finished, at step 12" in said
    assert "going on from" in said
    assert (workplace / "sweep/0_model.dropout=0.0/checkpoints/last.ckpt").read_bytes() == finished
    assert_same(
        tensors(workplace / "sweep/1_model.dropout=0.1")["weights"], tensors(whole)["weights"]
    )
    assert tensors(workplace / "sweep/2_model.dropout=0.2")["step"] == 12
    # once more: all are finished
    assert main([*SWEEP, "trainer.max_steps=12", "resume=auto"]) == 0
    assert capfd.readouterr().err.count("this run is finished") == 3


def test_a_failed_job_is_no_result(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The others go on, and what a sweeper minimises is the best validation loss."""
    words = ["train", "-m", *SMALL, "hydra.sweep.dir=sweep", "trainer.max_steps=7"]
    assert main([*words, "optimizer.lr=1e-3,1e300,2e-3"]) == 1
    said = capfd.readouterr().err
    assert "training diverged" in said
    assert "1 of 3 jobs failed" in said
    assert tensors(workplace / "sweep/2_optimizer.lr=0.002")["step"] == 7
