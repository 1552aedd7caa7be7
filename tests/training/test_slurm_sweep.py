"""A sweep whose jobs SLURM runs, through Hydra's launcher for submitit."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_launched_sweeps import run, state
from tests.small_runs import SMALL, Train, assert_same
from tests.training.test_slurm import cluster, said, within

__all__ = ["cluster"]

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

# the second one diverges
RATES = ("2e-3", "1e300", "1e-3", "3e-3")
WORDS = (
    *SMALL,
    *("checkpoint_every=50", "validate_every=500", "trainer.max_steps=1000", "print_every=200"),
    *("logger=csv", "model.dropout=0.25", "callbacks.samples.length=0"),
)
URGENT = ("sbatch", "--partition=urgent", "--exclusive", "--output=urgent.log", "--wrap=sleep 5")


def logs(sweep: Path, number: int) -> str:
    """All that a job wrote to its log, over all its starts."""
    return "".join(path.read_text() for path in sweep.glob(f".submitit/*/*_{number}_*_log.err"))


def test_one_is_preempted_one_fails_and_all_end(
    cluster: None, train: Train, workplace: Path
) -> None:
    pytest.importorskip("submitit", reason="needs hydra-submitit-launcher")
    whole = train(*WORDS, f"optimizer.lr={RATES[0]}", folder="whole", small=False)
    sweep = workplace / "sweep"
    words = ["-m", "hydra.sweep.dir=sweep", *WORDS, f"optimizer.lr={','.join(RATES)}"]
    words += ["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1"]
    running = subprocess.Popen(
        [sys.executable, "-m", "charrnn", "train", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    try:
        there = within(200, lambda: any(sweep.glob("0*/checkpoints/last.ckpt")))
        assert there, logs(sweep, 0)
        job = re.search(r"id: '?(\d+_0)", (run(sweep, 0) / ".hydra" / "hydra.yaml").read_text())
        assert job is not None
        # a job of another partition, to which it has to give way
        subprocess.run(URGENT, check=True)
        assert within(90, lambda: "is queued again" in logs(sweep, 0)), logs(sweep, 0)
        pending = ("squeue", "--noheader", "--array", "--states=PENDING", "--format=%i")
        assert within(60, lambda: job[1] in said(*pending).split())
        time.sleep(3)  # within the same second, slurmd takes the new start for the killed one
        subprocess.run(["scontrol", "update", f"JobId={job[1]}", "StartTime=now"], check=True)
        _, err = running.communicate(timeout=400)
    finally:
        running.kill()
    assert running.returncode == 1, err
    assert "1 of 4 jobs failed" in err.splitlines()[-1]
    assert "training diverged" in err
    assert "Traceback" not in err + logs(sweep, 0)
    assert "going on from" in logs(sweep, 0)
    for number in (0, 2, 3):
        assert state(run(sweep, number))["global_step"] == 1000
    assert_same(state(run(sweep, 0)), state(whole))
    with open(sweep / "leaderboard.csv", encoding="utf-8", newline="") as file:
        board = list(csv.DictReader(file))
    assert len(board) == 4
    assert sorted(row["steps"] == "1000" for row in board) == [False, True, True, True]
