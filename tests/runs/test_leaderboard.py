"""Whole sweeps through the command line, and what they leave."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.small_runs import SMALL


def test_the_leaderboard_is_what_the_runs_say(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "-m", *SMALL, "hydra.sweep.dir=sweep", "trainer.max_steps=21"]
    assert main([*words, "optimizer.lr=1e-3,1e300,2e-2"]) == 1
    said = capfd.readouterr().err
    assert "sweep: job 0, 1 of 3 (optimizer.lr=0.001)\n" in said
    assert "sweep: job 2, 3 of 3 (optimizer.lr=0.02)\n" in said
    sweep = workplace / "sweep"
    board = list(csv.DictReader((sweep / "leaderboard.csv").read_text().splitlines()))
    assert len(board) == 3
    assert {row["optimizer.lr"] for row in board[:2]} == {"0.001", "0.02"}
    assert [row["val/loss"] for row in board[2:]] == [""]
    losses = [float(row["loss"]) for row in board[:2]]
    assert losses == sorted(losses)
    for row in board[:2]:
        written = (sweep / row["run"] / "metrics.csv").read_text()
        rows = list(csv.DictReader(written.splitlines()))
        best = min((r for r in rows if r["val/loss"]), key=lambda r: float(r["val/loss"]))
        assert (row["val/loss"], row["step"]) == (best["val/loss"], best["step"])
        assert row["steps"] == rows[-1]["step"] == "21"
        assert f"; {int(row['parameters']):,} parameters\n" in said
    # the same on standard error, and the winner's command works
    command = f"charrnn sample checkpoint=sweep/{board[0]['run']}"
    assert f"sample from the best: {command}\n" in said
    numbers = [row["run"].partition("_")[0] for row in board]
    table = said[said.index("run    loss  ") :].splitlines()[1:4]
    assert [line.split()[0].partition("_")[0] for line in table] == numbers
    assert main([*shlex.split(command)[1:], "length=5", "seed=1"]) == 0
    # and charrnn runs says it again
    capfd.readouterr()
    assert main(["runs", "sweep", "json=true"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert [row.pop("run") for row in rows] == [f"sweep/{row.pop('run')}" for row in board]
    assert [{n: "" if v is None else str(v) for n, v in row.items()} for row in rows] == board
