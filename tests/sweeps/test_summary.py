"""A run's numbers, from the files of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn import metrics_csv
from charrnn.runs.recorded_config import MISSING
from charrnn.sweeps.summary import summaries, summary
from tests.sweeps.runs import HEADER, write_run


def test_the_numbers_of_a_run(tmp_path: Path) -> None:
    run = summary(write_run(tmp_path / "run", [(10, 2.5), (20, 1.5), (30, 1.75), (35, None)]))
    assert (run.loss, run.step, run.steps) == (1.5, 20, 35)
    # 35 steps of 20 characters, 1,000 of them a second
    assert run.seconds == pytest.approx(0.7)
    assert run.speed == pytest.approx(1000)
    assert run.parameters is None


def test_the_speed_is_that_of_the_whole_time(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [])
    (folder / "metrics.csv").write_text(HEADER + "50,1,2,,,0.1,1000\n100,1,2,,,0.1,500\n")
    run = summary(folder)
    assert run.seconds == pytest.approx(1 + 2)
    assert run.speed == pytest.approx(2000 / 3)


def test_a_run_without_numbers(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [])
    (folder / "metrics.csv").unlink()
    run = summary(folder)
    assert list(run.columns().values()) == [None, None, 0, None, None, None]


def test_rows_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    text = HEADER + "5,1,2,nan,,0.1,1\nx,1,2,3,4,5,6\n6,1,2,1.25,,0.1,1\n7,1,2\n"
    (tmp_path / "metrics.csv").write_text(text)
    rows = metrics_csv.read(tmp_path)
    assert [row["step"] for row in rows] == [5, 6]
    assert "val/loss" not in rows[0]
    assert rows[1]["val/loss"] == 1.25


def test_options_are_the_overrides_the_choices_and_the_config(tmp_path: Path) -> None:
    overrides = ("model=gru", "+trainer.profiler=simple")
    run = summary(write_run(tmp_path / "run", [], overrides=overrides, tags=["a", "b"]))
    assert run.value("model") == "gru"
    assert run.value("trainer.profiler") == "simple"
    assert run.value("data.seq_length") == 10
    assert run.value("tags") == ["a", "b"]
    assert run.value("hydra/launcher") is MISSING


def test_links_and_what_cannot_be_read_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train/a", "sweeps/b/0"):
        write_run(tmp_path / name, [(1, 2.0)])
    write_run(tmp_path / "train" / "broken", [(1, 2.0)])
    (tmp_path / "train" / "broken" / ".hydra" / "config.yaml").write_text("[")
    (tmp_path / "latest").symlink_to("train/a")
    runs = summaries(tmp_path)
    assert [run.folder for run in runs] == [tmp_path / "sweeps/b/0", tmp_path / "train/a"]
    said = capsys.readouterr().err
    assert "left out: " in said
    assert "broken/.hydra/config.yaml: cannot be read" in said
