"""Losses from elsewhere: metrics.csv and TensorBoard events, whole or not at all."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from charrnn.errors import RunError
from charrnn.models.torch7 import read_history
from charrnn.training.loggers import write_history

ROWS = [(7, 3.5, None), (8, 3.25, 3.0), (9, 2.5, None), (10, None, 2.75)]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in tags}


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_rows(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    write_history(ROWS, folder)
    header = "step,epoch,train/loss,val/loss,val/bits_per_character,lr,characters_per_second"
    assert (folder / "metrics.csv").read_text().splitlines()[0] == header
    rows = table(folder)
    assert [(r["step"], r["train/loss"], r["val/loss"]) for r in rows] == [
        ("7", "3.5", ""),
        ("8", "3.25", "3.0"),
        ("9", "2.5", ""),
        ("10", "", "2.75"),
    ]
    assert float(rows[1]["val/bits_per_character"]) == pytest.approx(3 / math.log(2))
    assert all(r["epoch"] == r["lr"] == r["characters_per_second"] == "" for r in rows)
    assert events(folder) == {
        "train/loss": [(7, 3.5), (8, 3.25), (9, 2.5)],
        "val/loss": [(8, 3.0), (10, 2.75)],
        "val/bits_per_character": [
            (8, pytest.approx(3 / math.log(2))),
            (10, pytest.approx(2.75 / math.log(2))),
        ],
    }


def test_again(tmp_path: Path) -> None:
    """A second time replaces the first, and leaves a run's own events alone."""
    (tmp_path / "tensorboard").mkdir()
    own = tmp_path / "tensorboard" / "events.out.tfevents.1.host.1.0"
    own.write_bytes(b"")
    write_history(ROWS, tmp_path)
    write_history(ROWS[:2], tmp_path)
    assert len(table(tmp_path)) == 2
    assert own.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "tensorboard"]
    assert events(tmp_path)["train/loss"] == [(7, 3.5), (8, 3.25)]


def test_of_torch_rnn(shared: Path, tmp_path: Path) -> None:
    rows = read_history(shared / "torch7" / "rnn.opt.json")
    write_history(rows, tmp_path)
    assert len(table(tmp_path)) == 300
    assert events(tmp_path)["val/loss"] == [(300, pytest.approx(rows[-1][2], rel=1e-6))]


def test_nothing(tmp_path: Path) -> None:
    write_history([], tmp_path)
    assert table(tmp_path) == []


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written") as caught:
        write_history(ROWS, tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TensorBoardLogger, "log_metrics", failing)
    with pytest.raises(KeyboardInterrupt):
        write_history(ROWS, tmp_path)
    assert list(tmp_path.iterdir()) == []
