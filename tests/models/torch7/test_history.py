"""The JSON that torch-rnn writes beside a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charrnn.errors import InputError
from charrnn.models.torch7 import read_history


def test_of_torch_rnn(shared: Path) -> None:
    path = shared / "torch7" / "lstm.opt.json"
    content = json.loads(path.read_text())
    rows = read_history(path)
    assert [step for step, _, _ in rows] == list(range(1, 301))
    assert [train for _, train, _ in rows] == content["train_loss_history"]
    assert rows[-1][2] == content["val_loss_history"][0]
    assert all(val is None for _, _, val in rows[:-1])


def test_later_steps(tmp_path: Path) -> None:
    """-reset_iterations 0 counts on from the checkpoint that it began with."""
    path = tmp_path / "checkpoint_12.json"
    content = {
        "i": 12,
        "train_loss_history": [2.5, 2.25],
        "val_loss_history": [3, 2],
        "val_loss_history_it": [10, 12],
    }
    path.write_text(json.dumps(content))
    assert read_history(path) == [(10, None, 3.0), (11, 2.5, None), (12, 2.25, 2.0)]
    del content["i"]
    path.write_text(json.dumps(content))
    assert read_history(path) == [(10, None, 3.0), (11, 2.5, None), (12, 2.25, 2.0)]


def test_nothing_trained(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_0.json"
    names = ("train_loss_history", "val_loss_history", "val_loss_history_it")
    path.write_text(json.dumps({name: {} for name in names}))  # Lua's empty lists
    assert read_history(path) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "1",
        "[" * 100_000,
        '{"train_loss_history": 3, "val_loss_history": {}, "val_loss_history_it": {}}',
        '{"train_loss_history": ["a"], "val_loss_history": {}, "val_loss_history_it": {}}',
        '{"train_loss_history": {}, "val_loss_history": [1], "val_loss_history_it": {}}',
        '{"train_loss_history": {}, "val_loss_history": [1], "val_loss_history_it": [NaN]}',
        '{"train_loss_history": {}, "val_loss_history": [1], "val_loss_history_it": [1e400]}',
        '{"i": 1, "train_loss_history": [1, 2], "val_loss_history": {}, "val_loss_history_it": {}}',
        '{"i": true, "train_loss_history": {}, "val_loss_history": {}, "val_loss_history_it": {}}',
    ],
)
def test_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text(content)
    with pytest.raises(InputError, match="not the JSON that torch-rnn writes") as caught:
        read_history(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_history(tmp_path / "none.json")
