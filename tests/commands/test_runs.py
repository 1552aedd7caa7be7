"""`charrnn runs`: the runs of a folder, the best first."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.sweeps.runs import write_run


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
        "        run  val/loss  step  steps  parameters  time  characters/s  model  optimizer.lr\n"
        "train/day/b    1.5000    10     10              0:01           300    gru          1e-3\n"
        "train/day/a    1.7500    20     20              0:04           100   lstm          0.01\n"
        "train/day/c                     10              0:01           200   lstm           0.1\n"
    )
    assert err == ("sample from the best: charrnn sample checkpoint=outputs/train/day/b\n")


def test_any_order(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert order(capsys, "sort=optimizer.lr") == ["b", "a", "c"]
    assert order(capsys, "sort=-optimizer.lr") == ["c", "a", "b"]
    assert order(capsys, "sort=-characters_per_second") == ["b", "c", "a"]
    # those that lack the value come last either way
    assert order(capsys, "sort=-val/loss") == ["a", "b", "c"]


def test_those_for_which_something_holds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert order(capsys, "where=model=gru") == ["b"]
    assert order(capsys, "where=model!=gru val/loss<2") == ["a"]
    assert order(capsys, "where=optimizer.lr>=1e-2") == ["a", "c"]
    assert order(capsys, "where=optimizer.lr=0.0010") == ["b"]
    assert order(capsys, "where=tags=night") == ["a"]
    assert order(capsys, "where=data.seq_length=10") == ["b", "a", "c"]


def test_of_one_run_and_of_a_folder_between(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert order(capsys, "outputs/train/day/b") == ["."]
    assert order(capsys, "folder=outputs/train") == ["b", "a", "c"]


def test_csv(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "csv=new/board.csv", "where=val/loss<9"]) == 0
    rows = list(csv.DictReader((place / "new" / "board.csv").read_text().splitlines()))
    assert [(row["val/loss"], row["seconds"]) for row in rows] == [("1.5", "0.7"), ("1.75", "4.0")]


def test_curves(place: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("needs matplotlib: pip install 'charrnn-lightning[sweep]'")
    from matplotlib.image import imread

    assert main(["runs", "curves=curves.png"]) == 0
    image = imread(place / "curves.png")
    assert image.shape[:2] == (576, 960)
    assert len({tuple(pixel) for pixel in image.reshape(-1, image.shape[2])[::7]}) > 20


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere"], "folder=nowhere: no such folder"),
        (["folder=empty"], "folder=empty: no run lies in it"),
        (["sort=val/los"], "sort=val/los: no run has it; did you mean val/loss?"),
        (["where=modell=gru"], "where=modell: no run has it; did you mean model?"),
        (["where=gru"], "where=gru: gru is no condition"),
        (["where=model=none"], "where=model=none: holds for none of 3 runs"),
        (["where=model=gru", "curves=file/x.png"], "file/x.png: cannot be written"),
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
    assert last.startswith(f"charrnn runs: {line}") or line in last
    assert sorted(place.rglob("*")) == before
