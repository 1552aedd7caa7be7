"""-m: many jobs of one command line."""

from __future__ import annotations

import csv
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.cells import CELLS
from charrnn.errors import InputError, Interrupted
from tests.faults.child import Fault, send
from tests.faults.runs import OPTIONS, differences, run, write_corpus


def test_every_combination_in_a_folder_of_its_own(door: Any, tmp_path: Path) -> None:
    words = ["model.hidden_size=32,64", "optimizer.lr=1e-3,2e-3", "model=gru"]
    answer = door("train", "-m", *words)
    assert (answer.code, answer.out) == (0, "")
    pairs = [(32, "0.001"), (32, "0.002"), (64, "0.001"), (64, "0.002")]
    found = [(a.config.model.hidden_size, str(a.config.optimizer["lr"])) for a in door.asked]
    assert found == pairs
    assert [asked.folder.name for asked in door.asked] == [
        f"{n}_model.hidden_size={size},optimizer.lr={lr}" for n, (size, lr) in enumerate(pairs)
    ]
    [sweep] = {asked.folder.parent for asked in door.asked}
    assert sweep.parents[1] == tmp_path / "outputs" / "sweeps"
    assert [asked.job.number for asked in door.asked] == [0, 1, 2, 3]


def test_texts_and_choices(door: Any, tmp_path: Path) -> None:
    assert door("sample", "-m", "start_text='O Romeo, Romeo',\"What's\"", "length=1,2").code == 0
    assert [(o.start_text, o.length) for o in door.asked] == [
        (text, length) for text in ("O Romeo, Romeo", "What's") for length in (1, 2)
    ]
    assert list(tmp_path.iterdir()) == []
    assert door("train", "model=glob(*)", "--multirun", "seed=range(1,3)").code == 0
    kinds = [asked.config.model.kind for asked in door.asked[4:]]
    assert len(kinds) == 2 * len(set(kinds))
    assert {*CELLS} <= set(kinds)


def test_a_job_that_fails_does_not_stop_the_others(door: Any) -> None:
    def fail(options: Any) -> None:
        if options.length == 2:
            raise InputError("x.ckpt: no such file")
        if options.length == 3:
            raise ZeroDivisionError

    door.action = fail
    answer = door("sample", "-m", "length=1,2,3,4", "seed=1")
    assert [o.length for o in door.asked] == [1, 2, 3, 4]
    assert answer.code == 1
    assert "charrnn sample: job 1 (length=2): x.ckpt: no such file\n" in answer.err
    assert "ZeroDivisionError (in your own code, not in charrnn)\n" in answer.err
    listed = answer.err.splitlines()[-3:]
    assert listed[0] == "failed: job 1 (length=2): x.ckpt: no such file"
    assert listed[1].startswith("failed: job 2 (length=3): ")
    assert listed[2] == "charrnn sample: 2 of 4 jobs failed"


def test_one_mistyped_value_refuses_the_whole_sweep(door: Any, tmp_path: Path) -> None:
    refused = door.refuses("train", "-m", "model.hidden_size=1,2,abc,-1", "model=gru")
    assert refused == (
        "charrnn train: job 2 (model.hidden_size=abc): "
        "model.hidden_size=abc: takes a whole number or null\n"
    )
    assert "did you mean" in door.refuses("train", "-m", "model.hidden_size=1,2", "sed=1")
    for words in (["trainer=ddp"], ["trainer.devices=[0,1]"], ["trainer.num_nodes=2"]):
        assert "in a sweep (-m)" in door.refuses("train", "-m", "seed=1", *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "code"), [(Interrupted("x", 15), 143), (KeyboardInterrupt, 130)])
def test_a_signal_ends_the_sweep(error: Any, code: int, door: Any) -> None:
    def interrupt(options: Any) -> None:
        raise error

    door.action = interrupt
    assert door("sample", "-m", "length=1,2").code == code
    assert len(door.asked) == 1


def test_sweeps_written_in_an_experiment(door: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "widths.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      model.hidden_size: 8,16\n"
    )
    words = ["experiment=widths", "--config-dir", "mine", "hydra.sweep.dir=out"]
    assert door("train", "-m", *words).code == 0
    names = ["0_model.hidden_size=8", "1_model.hidden_size=16"]
    assert [asked.folder for asked in door.asked] == [tmp_path / "out" / name for name in names]


def test_folders_have_names_that_are_safe_anywhere(door: Any, tmp_path: Path) -> None:
    texts = r"""data.input_txt='../a b.txt','Zür/x;$(rm).txt'"""
    words = ["-m", "hydra.sweep.dir=out", "model=gru", texts, f"tags=[{'a' * 300}],[b]"]
    assert door("train", *words).code == 0
    names = [asked.folder.name for asked in door.asked]
    assert names[1] == "1_data.input_txt=..-a-b.txt,tags=b"
    assert names[3] == "3_data.input_txt=Z-r-x-rm-.txt,tags=b"
    assert all(asked.folder.parent == tmp_path / "out" for asked in door.asked)
    assert max(map(len, names)) == len("0_") + 120


def test_each_begins_with_the_model_that_was_the_latest(door: Any, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    latest = tmp_path / "outputs" / "latest"
    latest.symlink_to(tmp_path / "first")

    def begin(asked: Any) -> None:
        latest.unlink()
        latest.symlink_to(asked.folder)

    door.action = begin
    assert door("train", "-m", "init_from=outputs/latest", "seed=1,2").code == 0
    assert {asked.config.init_from for asked in door.asked} == {str(tmp_path / "first")}


# Stopped, and gone on with by the same command

SWEEP = ["train", "-m", *OPTIONS, "trainer.max_steps=14", "seed=null,1,2"]
FINISHED, CUT, MISSING = "0_seed=null", "1_seed=1", "2_seed=2"


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
        assert "hydra.sweep.dir=sweep resume=auto goes on with it\n" in said
    assert not (place / "sweep" / MISSING / "metrics.csv").exists()
    finished = (place / "sweep" / FINISHED / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    capfd.readouterr()
    assert main([*SWEEP, "hydra.sweep.dir=sweep"]) == 2
    assert "holds runs already; with resume=auto" in capfd.readouterr().err
    assert main([*SWEEP, "hydra.sweep.dir=sweep", "resume=auto"]) == 0
    said = capfd.readouterr().err
    assert said.count("this run is finished, at step 14") == 1
    assert said.count("going on from") == 1
    last = place / "sweep" / FINISHED / "checkpoints" / "last.ckpt"
    assert last.stat().st_mtime_ns == finished
    for name in (CUT, MISSING):  # what has a seed
        assert differences(whole / name, place / "sweep" / name) == []
    # longer: what may change in a resume changes in each
    assert main([*SWEEP, "hydra.sweep.dir=sweep", "resume=auto", "trainer.max_steps=15"]) == 0
    with open("sweep/leaderboard.csv") as file:
        assert [row["steps"] for row in csv.DictReader(file)] == ["15"] * 3
    # what makes another run of a job does not
    capfd.readouterr()
    other = [*SWEEP, "hydra.sweep.dir=sweep", "resume=auto", "model.hidden_size=9"]
    assert main(other) == 1
    assert "model.hidden_size=9: a resume cannot change it" in capfd.readouterr().err
