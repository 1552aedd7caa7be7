"""A run's numbers, from the files of its folder, as `charrnn runs` has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from tests.runs.sweep_runs import HEADER, write_run


@pytest.fixture
def rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def found(folder: Path = tmp_path) -> list[dict[str, Any]]:
        assert main(["runs", f"folder={folder}", "json=true"]) == 0
        listed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return listed

    return found


def test_the_numbers_of_a_run(tmp_path: Path, rows: Any) -> None:
    write_run(tmp_path / "run", [(10, 2.5), (20, 1.5), (30, 1.75), (35, None)])
    (row,) = rows()
    assert (row["run"], row["val/loss"], row["step"], row["steps"]) == ("run", 1.5, 20, 35)
    # without a model
    assert (row["seconds"], row["characters_per_second"]) == (None, 1000)
    assert row["parameters"] is None
    assert (row["mean"], row["deviation"], row["seeds"]) == (1.5, None, 1)


def test_the_speed_is_that_of_the_whole_time(tmp_path: Path, rows: Any) -> None:
    folder = write_run(tmp_path / "run", [])
    (folder / "metrics.csv").write_text(HEADER + "50,1,2,,,0.1,1000\n100,1,2,,,0.1,500\n")
    (row,) = rows()
    assert row["characters_per_second"] == round(2000 / 3)


@pytest.mark.parametrize("line", ["x,1,2,1,,0.1,1000", "10,1,2,nan,,0.1,1000", "10,1,2,1", "\0"])
def test_rows_that_are_none_are_left_out(tmp_path: Path, rows: Any, line: str) -> None:
    folder = write_run(tmp_path / "run", [(5, 2.0)])
    with open(folder / "metrics.csv", "a") as file:
        file.write(line + "\n")
    assert rows()[0]["val/loss"] == 2.0


def test_a_run_that_cannot_be_read_is_named_and_left_out(
    tmp_path: Path, rows: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "one", [(5, 2.0)])
    write_run(tmp_path / "two", [(5, 2.0)])
    (tmp_path / "two" / ".hydra" / "config.yaml").write_text("[1")
    assert main(["runs", f"folder={tmp_path}", "json=true"]) == 0
    out, err = capsys.readouterr()
    assert [row["run"] for row in json.loads(out)] == ["one"]
    assert "left out: " in err
    assert "two" in err


def test_seeds_have_a_mean_and_other_options_another(tmp_path: Path, rows: Any) -> None:
    for number, (lr, seed, loss) in enumerate([(1, 1, 2.0), (1, 2, 3.0), (2, 1, 1.0)]):
        overrides = (f"optimizer.lr={lr}", f"seed={seed}")
        write_run(tmp_path / str(number), [(5, loss)], overrides=overrides, seed=seed)
    found = {row["run"]: (row["mean"], row["seeds"]) for row in rows()}
    assert found == {"0": (2.5, 2), "1": (2.5, 2), "2": (1.0, 1)}
    assert rows()[0]["deviation"] is None
    assert rows()[1]["deviation"] == pytest.approx(0.5**0.5)
