"""What a resume may change."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import InputError
from charrnn.training.resume import is_same_run, merged, run_folders

CONFIG: dict[str, Any] = {
    "seed": 1,
    "init_from": None,
    "resume": None,
    "print_every": 100,
    "model": {
        "kind": "lstm",
        "embedding_size": 64,
        "hidden_size": 128,
        "num_layers": 2,
        "batchnorm": False,
        "dropout": 0.0,
    },
    "data": {
        "corpus": "shakespeare",
        "val_frac": 0.1,
        "test_frac": 0.1,
        "encoding": "utf-8",
        "batch_size": 50,
        "seq_length": 50,
        "input_txt": None,
    },
    "optimizer": {"name": "adam", "lr": 0.002},
    "schedule": {"name": "step", "decay_every": 5},
    "trainer": {"max_epochs": 50, "precision": "bf16-mixed"},
}


def changed(**changes: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        node = config
        *parents, last = key.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    return config


def test_only_what_is_given_now_changes() -> None:
    now = changed(trainer__max_epochs=60, optimizer__lr=1.0, trainer__precision="auto")
    result = merged(CONFIG, now, ["resume", "trainer.max_epochs"])
    assert result == changed(trainer__max_epochs=60)


def test_a_whole_group() -> None:
    now = changed(schedule={"name": "constant", "decay_every": 5})
    assert merged(CONFIG, now, ["schedule"])["schedule"]["name"] == "constant"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.hidden_size", 256),
        ("model.kind", "gru"),
        ("data.batch_size", 10),
        ("data.seq_length", 25),
        ("data.val_frac", 0.2),
        ("optimizer.name", "rmsprop"),
        ("seed", 2),
    ],
)
def test_what_would_be_another_run_is_refused_by_name(key: str, value: object) -> None:
    now = changed(**{key.replace(".", "__"): value})
    with pytest.raises(InputError, match=f"{key}={value}"):
        merged(CONFIG, now, [key])
    if "." in key:
        with pytest.raises(InputError, match=f"{key}={value}"):
            merged(CONFIG, now, [key.split(".")[0]])


def test_the_same_value_given_again_is_no_change() -> None:
    assert merged(CONFIG, CONFIG, ["model.hidden_size", "seed"]) == CONFIG


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
