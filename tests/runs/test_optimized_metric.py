"""Test the name of what a sweep minimizes, in its leaderboard and its studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning as L
import pytest

import charrnn
from charrnn.__main__ import main
from tests.small_runs import SMALL, Capture, column

SWEEP = ("-m", *SMALL, "trainer.max_steps=6", "validate_every=3", "hydra.sweep.dir=sweep")
CALLBACK = "+callbacks.own._target_=tests.runs.test_optimized_metric.Distance"


class Distance(L.Callback):
    """Logs how far the learning rate is from 0.002, to a file in the run's folder too."""

    def __init__(self, path: str | None = None) -> None:
        self.path = path

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.log("own/distance", abs(trainer.optimizers[0].param_groups[0]["lr"] - 0.002))
        if self.path is not None:
            Path(self.path).write_text("here")


def result_of(run: Path) -> tuple[str, float | None]:
    content = json.loads((run / "result.json").read_text())
    return content["optimized_metric"], content["value"]


def test_a_sweep_ranks_by_its_metric(workplace: Path, capfd: Capture) -> None:
    rates = "optimizer.lr=0.0001,0.002,0.01"
    words = ["train", *SWEEP, rates, CALLBACK, "optimized_metric=own/distance"]
    assert main(words) == 0
    err = capfd.readouterr().err
    assert "\nthe lowest own/distance first:\n" in err
    best = workplace / "sweep" / "1_optimizer.lr=0.002"
    assert result_of(best) == ("own/distance", 0.0)
    assert "sample from the best: charrnn sample checkpoint=sweep/1_optimizer.lr=0.002\n" in err
    assert main(["sample", "checkpoint=sweep", "length=3"]) == 0
    assert "the best run of sweep: 1_optimizer.lr=0.002" in capfd.readouterr().err


def test_the_two_losses_have_their_best_runs(workplace: Path, capfd: Capture) -> None:
    assert main(["train", *SWEEP, "optimizer.lr=0.0001,0.01", "seed=1,2"]) == 0
    err = capfd.readouterr().err
    assert "\nthe lowest val/best_loss_as_written first:\n" in err
    runs = sorted((workplace / "sweep").glob("*_*"))
    for run in runs:
        metric, value = result_of(run)
        assert metric == "val/best_loss_as_written"
        losses = column(run, "val/loss")
        step = min(losses, key=lambda step: losses[step])
        assert value == pytest.approx(column(run, "val/loss_as_written")[step], abs=1e-9)
    by_network = min(runs, key=lambda run: min(column(run, "val/loss").values()))
    by_written = min(runs, key=lambda run: result_of(run)[1] or 0)
    says = f"val/best_loss_as_written is lowest in {by_written.name}, val/best_loss in "
    assert (says in err) == (by_network != by_written)


def test_runs_that_differ_below_their_own_folder_are_averaged(workplace: Path) -> None:
    """Group runs by their seeds, as before."""
    note = "+callbacks.own.path=${hydra:runtime.output_dir}/note.txt"
    assert main(["train", *SWEEP, "seed=1,2", CALLBACK, note]) == 0
    assert len([*(workplace / "sweep").glob("*/note.txt")]) == 2
    header, *rows = (workplace / "sweep" / "leaderboard.csv").read_text().splitlines()
    seeds = header.split(",").index("seeds")
    assert [row.split(",")[seeds] for row in rows] == ["2", "2"]


def test_a_metric_that_does_not_exist_is_refused(workplace: Path, capfd: Capture) -> None:
    before = sorted(workplace.iterdir())
    assert main(["train", *SMALL, "optimized_metric=val/best_los"]) == 2
    assert "did you mean val/best_loss?" in capfd.readouterr().err
    assert sorted(workplace.iterdir()) == before
    assert main(["train", *SMALL, "optimized_metric=own/metric"]) == 2
    assert "own/metric: no such metric; there are val/loss, " in capfd.readouterr().err
    assert sorted(workplace.iterdir()) == before
    # of a class of the user
    words = ["train", *SMALL, "hydra.run.dir=run", CALLBACK, "optimized_metric=own/metric"]
    assert main(words) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert "optimized_metric=own/metric: is not logged; there are " in line
    assert "val/best_loss" in line
    assert line.endswith("to resume it: charrnn train resume=run trust=true optimized_metric=NAME")
    # the steps before the first validation are saved, and a metric that exists continues from them
    words = ["train", "resume=run", "trust=true", "optimized_metric=val/best_loss"]
    words += ["trainer.max_steps=8"]
    assert main(words) == 0
    assert "resuming from run/checkpoints/last.ckpt, step 6" in capfd.readouterr().err


def test_a_run_without_a_validation_is_last(workplace: Path, capfd: Capture) -> None:
    words = ["train", *SWEEP, "data.val_frac=0,0.1", "optimized_metric=val/best_loss"]
    assert main(words) == 0
    rows = (workplace / "sweep" / "leaderboard.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows[1:]] == [
        "1_data.val_frac=0.1",
        "0_data.val_frac=0",
    ]


def test_the_result_of_a_training_from_python(workplace: Path) -> None:
    result = charrnn.train(*SMALL, "trainer.max_steps=6", "hydra.run.dir=run")
    assert result.objective == result.loss
    assert result.network_loss == min(column(workplace / "run", "val/loss").values())
    again = charrnn.train("resume=run")
    assert (again.loss, again.network_loss, again.objective, again.step) == (
        result.loss, result.network_loss, result.objective, result.step,
    )  # fmt: skip
