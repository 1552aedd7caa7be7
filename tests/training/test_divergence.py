"""A loss that is absurd or no number: no success, and never the best."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from charrnn.models import checkpoint
from tests.small_runs import Train

QUICK = ("model.num_layers=1", "callbacks.samples.length=0", "logger=csv", "data.seq_length=40")


@pytest.mark.parametrize("every", [2, 3])
def test_it_ends_the_run_and_is_no_success(
    train: Train, capfd: pytest.CaptureFixture[str], every: int
) -> None:
    """Nor is the resume of a run that is at its end after one of them, and has no second."""
    steps = 20 if every == 2 else 3
    absurd = ("optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=5")
    run = train(*QUICK, *absurd, f"validate_every={every}", f"trainer.max_steps={steps}", code=1)
    err = capfd.readouterr().err
    assert err.splitlines()[-1].count("training diverged") == 1
    assert "Traceback" not in err
    assert "the best so far" not in err
    assert not (run / "model.safetensors").exists()
    if every == 2:
        assert not (run / "checkpoints" / "best.ckpt").exists()
        return
    train(f"resume={run}", small=False, code=1)
    assert "training diverged: the first validation loss was " in capfd.readouterr().err
    # what a second one is compared with is in the checkpoint
    best = checkpoint.read(run / "checkpoints" / "last.ckpt")[checkpoint.ENTRY]["best"]
    assert (best["first"] > 100, best["absurd"]) == (True, 1)
    train(f"resume={run}", "trainer.max_steps=6", small=False, code=1)
    assert "training diverged: after step 6 " in capfd.readouterr().err


def test_a_loss_that_is_no_number_is_named_and_never_saved(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("trainer.max_steps=40", "optimizer.lr=1e38", "checkpoint_every=3", code=1)
    last_line = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"training diverged.* of step \d+ is not finite.*optimizer\.lr", last_line)
    for path in (run / "checkpoints").glob("*.ckpt"):
        weights = checkpoint.read(path)["state_dict"].values()
        assert all(torch.isfinite(w).all() for w in weights)


class RemovesMetrics(L.Callback):
    """As somebody might by mistake while it is written."""

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        if trainer.global_step == 4:
            Path("run/metrics.csv").unlink()


def test_a_removed_metrics_csv_is_said(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    own = "+callbacks.own._target_=tests.training.test_divergence.RemovesMetrics"
    run = train(*QUICK, own, "trainer.max_steps=8", "print_every=1")
    assert capfd.readouterr().err.count("metrics.csv: was removed, and the rows so far") == 1
    lines = (run / "metrics.csv").read_text().splitlines()
    assert lines[0].startswith("step,epoch,")
    assert [line.split(",")[0] for line in lines[1:]][-3:] == ["6", "7", "8"]
