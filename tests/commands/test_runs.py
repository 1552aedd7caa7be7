"""`charrnn runs`: the runs of a folder, the best first."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import re
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.runs.sweep_runs import write_run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs" / "train" / "day"
    write_run(run / "a", [(10, 2.0), (20, 1.75)], 100, ("optimizer.lr=0.01",), tags=["night"])
    write_run(run / "b", [(10, 1.5)], 300, ("optimizer.lr=1e-3", "model=gru"))
    write_run(run / "c", [(10, None)], 200, ("optimizer.lr=0.1",))
    return tmp_path


def order(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["runs", *words, "json=true"]) == 0
    return [row["run"][-1] for row in json.loads(capsys.readouterr().out)]


def test_the_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "        run    loss  step  time  optimizer.lr  model\n"
        "train/day/b  1.5000    10                1e-3    gru\n"
        "train/day/a  1.7500    20                0.01       \n"
        "train/day/c                               0.1       \n"
    )
    assert err == ("sample from the best: charrnn sample checkpoint=outputs/train/day/b\n")


def test_any_order(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert order(capsys, "sort=optimizer.lr") == ["b", "a", "c"]
    assert order(capsys, "sort=-optimizer.lr") == ["c", "a", "b"]
    assert order(capsys, "sort=-characters_per_second") == ["b", "c", "a"]
    assert order(capsys, "sort=-network alone") == ["a", "b", "c"]  # as the table calls val/loss
    # those that lack the value come last either way
    assert order(capsys, "sort=-val/loss") == ["a", "b", "c"]


def test_of_one_run_and_of_a_folder_between(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert order(capsys, "outputs/train/day/b") == ["b"]
    assert order(capsys, "folder=outputs/train") == ["b", "a", "c"]


def test_csv(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "csv=new/board.csv"]) == 0
    rows = list(csv.DictReader((place / "new" / "board.csv").read_text().splitlines()))
    assert [row["val/loss"] for row in rows] == ["1.5", "1.75", ""]
    assert [(row["mean"], row["seeds"]) for row in rows] == [("1.5", "1"), ("1.75", "1"), ("", "0")]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere"], "folder=nowhere: no such folder"),
        (["folder=empty"], "folder=empty: no run lies in it"),
        (["sort=val/los"], "sort=val/los: no run has it; did you mean val/loss?"),
        (["csv=file/x.csv"], "file/x.csv: cannot be written"),
    ],
)
def test_what_is_refused(
    place: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "empty").mkdir()
    (place / "file").touch()
    before = sorted(place.rglob("*"))
    assert main(["runs", *words]) in (1, 2)
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(f"charrnn runs: (.*/)?{re.escape(line)}", last)
    assert sorted(place.rglob("*")) == before


def test_a_loss_on_another_text_is_no_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    day = tmp_path / "outputs" / "day"
    sizes = {"batch_size": 2, "seq_length": 10}
    poems = {**sizes, "input_txt": "/texts/poems.txt", "corpus": "shakespeare"}
    write_run(day / "a", [(10, 1.5)], data={**sizes, "corpus": "shakespeare"}, seed=1)
    write_run(day / "b", [(10, 2.5)], data=poems, seed=1)
    write_run(day / "c", [(10, 2.75)], data=poems, seed=2)
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    first, second = out.split("\n\n")
    assert first.startswith("shakespeare:\n")
    assert "day/a" in first
    assert second.startswith("poems.txt:\n")
    assert re.search(r"mean +deviation +seeds\n.*2.6250 +0.1768 +2\n", second)
    assert "sample from the best on poems.txt: charrnn sample checkpoint=outputs/day/b" in err


def test_removing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = place / "outputs" / "train" / "day"
    for age, name in enumerate("abc"):
        os.utime(runs / name / ".hydra" / "overrides.yaml", (age, age))
    (place / "outputs" / "latest").symlink_to("train/day/c")
    (runs / "link").symlink_to(place)
    assert main(["runs", "remove=outputs/latest"]) == 0
    assert "removed outputs/train/day/c" in capsys.readouterr().err
    assert not (runs / "c").exists()
    for folder in ("outputs", "outputs/train/day", "nowhere", "outputs/train/day/link"):
        assert main(["runs", f"remove={folder}"]) == 2
        assert "is no folder of a run or a sweep" in capsys.readouterr().err
    (runs / "b" / ".lock").write_text("1")
    with open(runs / "b" / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["runs", "remove=outputs/train/day/b"]) == 2
        assert "is training in it" in capsys.readouterr().err
    assert (runs / "b").is_dir()
    for name in ("outputs/train/day/a", "train/day/b"):  # as the table prints it, too
        assert main(["runs", f"remove={name}"]) == 0
