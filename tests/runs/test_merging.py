"""What a resume may change."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli.job import Request
from charrnn.cli.resuming import is_same_run, laid_over
from charrnn.errors import InputError
from charrnn.runs.folder import run_folders
from charrnn.runs.recorded_config import Record
from tests.small_runs import train_options

CONFIG: dict[str, Any] = {
    "seed": 1,
    "init_from": None,
    "resume": None,
    "print_every": 100,
    "model": {
        "_target_": "charrnn.LanguageModel",
        "kind": "lstm",
        "hidden_size": 128,
        "dropout": 0.0,
    },
    "data": {
        "_target_": "charrnn.TextDataModule",
        "input_txt": None,
        "val_frac": 0.1,
        "batch_size": 50,
        "seq_length": 50,
    },
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.002},
    "schedule": {"_target_": "charrnn.training.schedules.step", "decay_every": 5},
    "trainer": {"_target_": "lightning.Trainer", "max_epochs": 50, "precision": "bf16-mixed"},
    "callbacks": {},
    "logger": {},
}
FIXED = frozenset(
    {"seed", "model.kind", "model.hidden_size", "data.val_frac", "data.batch_size",
     "data.seq_length"}
)  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        node = config
        *parents, last = key.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    return config


def resumed(recorded: dict[str, Any], now: dict[str, Any], given: Sequence[str]) -> dict[str, Any]:
    asked = Request(train_options(), tuple(given), Path())
    return laid_over(Record(recorded, {}, "run"), now, asked, FIXED)


def test_only_what_is_given_now_changes() -> None:
    now = changed(trainer__max_epochs=60, optimizer__lr=1.0, trainer__precision="auto")
    result = resumed(CONFIG, now, ["resume", "trainer.max_epochs"])
    assert result == changed(trainer__max_epochs=60)


def test_a_whole_group() -> None:
    now = changed(schedule={"_target_": "charrnn.training.schedules.constant"})
    assert resumed(CONFIG, now, ["schedule"])["schedule"] == now["schedule"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.hidden_size", 256),
        ("model.kind", "gru"),
        ("data.batch_size", 10),
        ("data.seq_length", 25),
        ("data.val_frac", 0.2),
        ("optimizer._target_", "torch.optim.SGD"),
        ("seed", 2),
    ],
)
def test_what_would_be_another_run_is_refused_by_name(key: str, value: object) -> None:
    now = changed(**{key.replace(".", "__", 1): value})
    with pytest.raises(InputError, match=f"{key}={value}: a resume cannot change it"):
        resumed(CONFIG, now, [key])
    if "." in key:
        with pytest.raises(InputError, match=f"{key}={value}: a resume cannot change it"):
            resumed(CONFIG, now, [key.split(".")[0]])


def test_the_same_value_given_again_is_no_change() -> None:
    assert resumed(CONFIG, CONFIG, ["model.hidden_size", "seed"]) == CONFIG


def test_an_option_that_is_new_has_its_default() -> None:
    now = changed(model__tied=False, new_option=7)
    assert resumed(CONFIG, now, []) == now


def test_a_rate_that_would_be_ignored() -> None:
    """A scheduler of torch's own goes on with the rate that it saved."""
    recorded = changed(schedule={"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 3})
    now = {**recorded, "optimizer": {**recorded["optimizer"], "lr": 1.0}}
    with pytest.raises(InputError, match=r"^optimizer.lr: a resume cannot change it under"):
        resumed(recorded, now, ["optimizer.lr"])
    assert resumed(recorded, recorded, ["optimizer.lr"]) == recorded


def test_the_same_run() -> None:
    assert is_same_run(changed(trainer__precision="auto", resume="auto"), CONFIG)
    assert not is_same_run(changed(optimizer__lr=0.001), CONFIG)
    assert not is_same_run({**CONFIG, "new_option": 1}, CONFIG)


def test_run_folders_newest_first(tmp_path: Path) -> None:
    names = ["2026-01-01/10-00-00-000001", "2026-01-02/09-00-00-5", "2026-01-01/10-00-00-000002"]
    for name in names:
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / ".hydra" / "config.yaml").touch()
    (tmp_path / "2026-01-03" / "empty").mkdir(parents=True)
    found = [str(p.relative_to(tmp_path)) for p in run_folders(tmp_path)]
    assert found == [names[1], names[2], names[0]]
