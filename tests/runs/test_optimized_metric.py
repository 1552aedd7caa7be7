"""Test the name of what a sweep minimizes, in its leaderboard and its studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning as L

from charrnn.__main__ import main
from tests.small_runs import SMALL, Capture

CALLBACK = "+callbacks.own._target_=tests.runs.test_optimized_metric.Distance"


class Distance(L.Callback):
    """Logs how far the learning rate is from 0.002."""

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.log("own/distance", abs(trainer.optimizers[0].param_groups[0]["lr"] - 0.002))


def test_a_sweep_ranks_by_its_metric(workplace: Path, capfd: Capture) -> None:
    words = ["-m", "optimizer.lr=0.0001,0.002,0.01", "hydra.sweep.dir=sweep", CALLBACK]
    words += ["trainer.max_steps=6", "validate_every=3", "optimized_metric=own/distance"]
    assert main(["train", *SMALL, *words]) == 0
    err = capfd.readouterr().err
    assert "\nthe lowest own/distance first:\n" in err
    best = "sweep/1_optimizer.lr=0.002"
    result = json.loads((workplace / best / "result.json").read_text())
    assert (result["optimized_metric"], result["objective"]) == ("own/distance", 0.0)
    assert f"sample from the best: charrnn sample checkpoint={best}\n" in err
    assert main(["sample", "checkpoint=sweep", "length=3"]) == 0
    assert "the best run of sweep: 1_optimizer.lr=0.002" in capfd.readouterr().err
