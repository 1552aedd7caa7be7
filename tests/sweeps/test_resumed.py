"""``resume=`` of a sweep's folder: what is missing or unfinished, exactly."""

from __future__ import annotations

import csv
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.commands.train import go_on, prepare_overrides
from tests.cli.door import Door
from tests.faults.child import Fault, send
from tests.faults.runs import OPTIONS, differences, run, write_corpus

SWEEP = [
    *("train", "-m", *OPTIONS, "trainer.max_steps=14"),
    *("optimizer.lr=1e-3,2e-3", "seed=1,2"),
]
NAMES = [f"{n}_optimizer.lr={lr},seed={s}" for n, (lr, s) in enumerate(
    [("0.001", 1), ("0.001", 2), ("0.002", 1), ("0.002", 2)]
)]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def door(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """The door, behind which stands the part of train that reads resume=."""
    module = sys.modules["charrnn.commands.train"]
    for part in (prepare_overrides, go_on):
        monkeypatch.setattr(module, part.__name__, part, raising=False)
    return door


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep, never interrupted."""
    place = tmp_path_factory.mktemp("whole")
    write_corpus(place)
    run([*SWEEP, "hydra.sweep.dir=whole"], place)
    return place / "whole"


@pytest.mark.parametrize(
    "signum", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_sweep_that_was_ended_goes_on_exactly(
    whole: Path, signum: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place = whole.parent
    monkeypatch.chdir(place)
    for left in (place / "sweep", place / "log.txt"):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    in_the_second_job = Fault("step", "forward", 14 + 10, partial(send, signum))
    code = -signal.SIGKILL if signum == signal.SIGKILL else 130
    run([*SWEEP, "hydra.sweep.dir=sweep"], place, in_the_second_job, code=code)
    said = (place / "log.txt").read_text("utf-8")
    if signum == signal.SIGINT:
        assert "Traceback" not in said
        assert "charrnn train resume=sweep goes on with it\n" in said
        assert len((place / "sweep" / "leaderboard.csv").read_text().splitlines()) == 3
    assert not (place / "sweep" / NAMES[2] / "metrics.csv").exists()
    finished = (place / "sweep" / NAMES[0] / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    capfd.readouterr()
    assert main(["train", "resume=sweep"]) == 0
    said = capfd.readouterr().err
    assert said.count("this run is finished, at step 14") == 1
    assert said.count("going on from") == 1
    assert (place / "sweep" / NAMES[0] / "checkpoints" / "last.ckpt").stat().st_mtime_ns == finished
    for name in NAMES:
        assert differences(whole / name, place / "sweep" / name) == []
    boards = [
        list(csv.DictReader((folder / "leaderboard.csv").read_text().splitlines()))
        for folder in (whole, place / "sweep")
    ]
    assert [row["run"] for row in boards[0]] == [row["run"] for row in boards[1]]
    assert [row["val/loss"] for row in boards[0]] == [row["val/loss"] for row in boards[1]]


def test_it_can_be_made_longer(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["seed=1,null", "hydra.sweep.dir=sweep"]
    assert main(["train", "-m", *OPTIONS, *words, "trainer.max_steps=7"]) == 0
    assert main(["train", "resume=sweep", "trainer.max_steps=14"]) == 0
    with open("sweep/leaderboard.csv") as file:
        assert [row["steps"] for row in csv.DictReader(file)] == ["14", "14"]


def test_its_jobs_are_those_that_it_had(door: Door, place: Path) -> None:
    words = ["seed=1,2", "model=lstm,gru", "hydra.sweep.dir=sweep"]
    assert door("train", "-m", *words).code == 0
    folders = [asked.folder.name for asked in door.asked]
    kinds = [asked.choices["model"] for asked in door.asked]
    door.asked.clear()
    assert door("train", "resume=sweep", "print_every=3").code == 0
    assert [asked.folder.name for asked in door.asked] == folders
    assert [asked.choices["model"] for asked in door.asked] == kinds
    for asked, folder in zip(door.asked, folders, strict=True):
        assert asked.config.resume == str(Path("sweep") / folder)
        assert asked.config.print_every == 3
        assert "print_every" in asked.given
        assert "model" not in asked.given


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["seed=3"], "seed=3: resume=sweep goes on with the jobs that its sweep has"),
        (["optimizer.lr=1,2"], "optimizer.lr=1,2: resume=sweep goes on with the jobs"),
    ],
)
def test_other_jobs_are_refused(door: Door, place: Path, words: list[str], line: str) -> None:
    assert door("train", "-m", "seed=1,2", "hydra.sweep.dir=sweep").code == 0
    door.asked.clear()
    assert line in door.refuses("train", "resume=sweep", *words)


def test_from_another_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["-m", *OPTIONS, "seed=1,2", "hydra.sweep.dir=sweep", "trainer.max_steps=2"]
    assert main(["train", *words]) == 0
    shutil.rmtree(place / "sweep" / "1_seed=2")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert main(["train", "resume=../sweep"]) == 0
    assert (place / "sweep" / "1_seed=2" / "model.safetensors").is_file()
