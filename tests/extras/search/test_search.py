"""sweep=random|tpe: whole studies through the command line."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from charrnn.__main__ import main
from tests.faults.runs import OPTIONS
from tests.small_runs import read_record

if importlib.util.find_spec("optuna") is None:
    pytest.skip("needs optuna: pip install -e '.[sweep]'", allow_module_level=True)

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from charrnn.extras.search import to_distribution

SPACE = ("optimizer.lr=tag(log,interval(1e-4,1e-1))", "model.num_layers=range(1,3)")


def words(*more: str, folder: str = "sweep", trials: int = 4) -> list[str]:
    fixed = [f"hydra.sweep.dir={folder}", f"hydra.sweeper.n_trials={trials}"]
    return ["train", "-m", *OPTIONS, *SPACE, *fixed, *more]


def run_of(number: int, folder: str = "sweep") -> Path:
    [run] = Path(folder).glob(f"{number}_*")
    return run


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a=tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("a=range(64,257,step=64)", IntDistribution(64, 256, step=64)),
        ("a=range(0,0.3,step=0.1)", FloatDistribution(0, 0.2, step=0.1)),
        ("a=1,null,'b c'", CategoricalDistribution(["1", "null", "'b c'"])),
    ],
)
def test_the_search_space_is_written_as_for_hydra(written: str, expected: Any) -> None:
    assert to_distribution(OverridesParser.create().parse_override(written)) == expected


def test_a_study_and_what_it_leaves(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = "outputs/study"
    assert main(words("sweep=tpe", "trainer.max_steps=14", folder=study, trials=2)) == 0
    with open(f"{study}/leaderboard.csv") as file:
        board = list(csv.DictReader(file))
    assert {row["optimized_metric"] for row in board} == {"val/best_loss"}
    assert all(row["objective"] == row["network_loss"] for row in board)
    losses = {int(row["run"].partition("_")[0]): float(row["objective"]) for row in board}
    assert losses.keys() == {0, 1}
    rates = {read_record(run_of(number, study))["optimizer"]["lr"] for number in losses}
    assert len(rates) == 2
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    capfd.readouterr()
    assert main(["sample", "length=5"]) == 0
    said = capfd.readouterr().err.splitlines()
    assert said[:2] == [f"the newest model: {study}", f"the best run of {study}: {board[0]['run']}"]


def test_a_study_that_is_continued_asks_for_the_same_values(door: Any, workplace: Path) -> None:
    door.action = lambda asked: asked.config.optimizer["lr"]
    tpe = ("sweep=tpe", "+hydra.sweeper.sampler.n_startup_trials=1")
    assert door(*words(*tpe)).code == 0
    for trials in (2, 4):
        assert door(*words(*tpe, "resume=auto", folder="cut", trials=trials)).code == 0
    rates = [asked.config.optimizer["lr"] for asked in door.asked]
    assert len({*rates}) == 4
    assert rates[:4] == rates[6:]
    assert rates[:2] == rates[4:6]
