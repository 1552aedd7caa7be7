"""metrics.csv and TensorBoard: whole rows, in step with the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from charrnn.errors import RunError
from charrnn.training import events
from charrnn.training.metrics import COLUMNS, Metrics

HEADER = ",".join(COLUMNS) + "\n"


def write(folder: Path, first: int, last: int, *, tensorboard: bool = True) -> None:
    """What a run writes that begins after step `first` and is killed after step `last`."""
    metrics = Metrics(folder, last_step=first, tensorboard=tensorboard)
    for step in range(first + 1, last + 1):
        metrics.record(step, step / 10, {"train/loss": step + first / 100})
    metrics.flush()
    metrics.close()


def steps(folder: Path) -> list[str]:
    header, *lines = (folder / "metrics.csv").read_text().splitlines()
    assert header + "\n" == HEADER
    return [line.split(",")[0] for line in lines]


def test_values_of_a_step_are_one_row(tmp_path: Path) -> None:
    with Metrics(tmp_path, last_step=0, tensorboard=False) as metrics:
        metrics.record(3, 0.5, {"train/loss": 2.5, "lr": 0.1})
        metrics.record(3, 0.5, {"val/loss": 2.25})
        metrics.record(4, 0.75, {"train/loss": 2.0})
        # a row is there as soon as the next has begun
        assert (tmp_path / "metrics.csv").read_text() == HEADER + "3,0.5,2.5,2.25,,0.1,\n"
    assert (
        tmp_path / "metrics.csv"
    ).read_text() == HEADER + "3,0.5,2.5,2.25,,0.1,\n4,0.75,2.0,,,,\n"


def test_later_rows_are_cut_off(tmp_path: Path) -> None:
    write(tmp_path, 0, 9)
    write(tmp_path, 4, 6)
    assert steps(tmp_path) == ["1", "2", "3", "4", "5", "6"]
    write(tmp_path, 0, 2)
    assert steps(tmp_path) == ["1", "2"]


@pytest.mark.parametrize("torn", ["1", "12", "12,1.2", "12,1.2,1", "\0", "12,1.2,2.5,,,,"])
def test_a_torn_row_is_dropped(tmp_path: Path, torn: str) -> None:
    """Such as the 1 of a 12, which would pass for step 1."""
    write(tmp_path, 0, 11)
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write(torn)
    write(tmp_path, 11, 13)
    assert steps(tmp_path) == [str(step) for step in range(1, 14)]


@pytest.mark.parametrize(
    "content", ["", "\n", "x\n", "a,b\n1,2\n", "\0\0\n\0", "step\n1\n2\n", "\xff"]
)
def test_whatever_stands_there(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.csv").write_text(content, encoding="latin-1")
    write(tmp_path, 5, 6)
    assert steps(tmp_path)[-1] == "6"


def test_each_step_once_in_tensorboard(tmp_path: Path) -> None:
    """Three processes within a second; the second began anew, the third after step 2."""
    write(tmp_path, 0, 9)
    write(tmp_path, 0, 4)
    write(tmp_path, 2, 6)
    names = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert len(names) == 3
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [event.step for event in found] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in found] == pytest.approx([1, 2, 3.02, 4.02, 5.02, 6.02])


def test_a_torn_event_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, 0, 5)
    (file,) = (tmp_path / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    write(tmp_path, 3, 6)
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [event.step for event in found] == [1, 2, 3, 4, 5, 6]


def test_a_clock_that_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([2_000_000_000.0] * 100 + [1_000_000_000.0] * 100)
    monkeypatch.setattr(events.time, "time", lambda: next(times))
    write(tmp_path, 0, 90)
    write(tmp_path, 5, 7)
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [event.step for event in found] == [1, 2, 3, 4, 5, 6, 7]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").touch()
    with pytest.raises(RunError, match=r"tensorboard/events.*: cannot be written"):
        Metrics(tmp_path, last_step=0, tensorboard=True)
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(RunError, match=r"metrics\.csv: "):
        Metrics(tmp_path, last_step=3, tensorboard=False)
