"""A loss that is absurd or no number: no success, and never the best."""

from __future__ import annotations

import re

import pytest
import torch

from charrnn.models import checkpoint
from tests.small_runs import Train

QUICK = ("model.num_layers=1", "callbacks.samples.length=0", "logger=csv", "data.seq_length=40")


def test_it_ends_the_run_and_is_no_success(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    absurd = ("optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=5")
    run = train(*QUICK, *absurd, "validate_every=2", "trainer.max_steps=20", code=1)
    err = capfd.readouterr().err
    assert "training diverged: after step 2 " in err.splitlines()[-1]
    assert "Traceback" not in err
    assert "the best so far" not in err
    assert not (run / "model.safetensors").exists()
    assert not (run / "checkpoints" / "best.ckpt").exists()


def test_a_loss_that_is_no_number_is_named_and_never_saved(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("trainer.max_steps=40", "optimizer.lr=1e38", "checkpoint_every=3", code=1)
    last_line = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"training diverged.* of step \d+ is not finite.*optimizer\.lr", last_line)
    for path in (run / "checkpoints").glob("*.ckpt"):
        weights = checkpoint.read(path)["state_dict"].values()
        assert all(torch.isfinite(w).all() for w in weights)
