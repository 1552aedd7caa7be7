"""-m: many jobs of one command line."""

from __future__ import annotations

import csv
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.errors import InputError
from tests.conftest import write_files
from tests.faults.child import Fault, run, send
from tests.faults.runs import OPTIONS, differences
from tests.small_runs import SMALL, Capture


def test_every_combination_in_a_folder_of_its_own(door: Any, tmp_path: Path) -> None:
    """Make an option with a value whose name is safe anywhere."""
    write_files(tmp_path, {"../a b.txt": "", "Zür/x;$(rm).txt": ""})
    texts = r"""data.input_txt='../a b.txt','Zür/x;$(rm).txt'"""
    answer = door("train", "-m", "model=gru", texts, f"tags=[{'a' * 300}],[b]")
    assert (answer.code, answer.out) == (0, "")
    found = [(asked.config.data["input_txt"], len(asked.config.tags[0])) for asked in door.asked]
    assert found == [(text, n) for text in ("../a b.txt", "Zür/x;$(rm).txt") for n in (300, 1)]
    names = [asked.folder.name for asked in door.asked]
    assert names[1::2] == ["1_a-b.txt,tags=b", "3_x-rm-.txt,tags=b"]
    assert max(map(len, names)) == len("0_") + 120
    [sweep] = {asked.folder.parent for asked in door.asked}
    assert sweep.parents[1] == tmp_path / "outputs" / "sweeps"
    assert [asked.hydra.job.num for asked in door.asked] == [0, 1, 2, 3]


def test_a_job_that_fails_does_not_stop_the_others(door: Any) -> None:
    def fail(options: Any) -> None:
        if options.length == 1:
            raise InputError("x.ckpt: no such file")
        if options.length == 2:
            raise ZeroDivisionError

    door.action = fail
    answer = door("sample", "-m", "length=1,2,x,3", "seed=1")
    assert [o.length for o in door.asked] == [1, 2, 3]
    assert answer.code == 1
    assert "charrnn sample: job 0 (length=1): x.ckpt: no such file\n" in answer.err
    assert "job 1 (length=2): this is a bug in charrnn" in answer.err
    assert "job 2 (length=x): length=x: " in answer.err
    last = "charrnn sample: not all jobs succeeded; the first that failed: x.ckpt: no such file"
    assert answer.err.splitlines()[-1] == last


def test_a_job_trains_in_one_process(workplace: Path, capfd: Capture) -> None:
    several = "trainer.devices=[0,1],2"
    assert main(["train", "-m", *SMALL, several, "hydra.sweep.dir=sweep"]) == 1
    assert capfd.readouterr().err.count("in a sweep (-m), each job trains in one process") == 3
    assert [path.name for path in (workplace / "sweep").iterdir()] == ["multirun.yaml"]


def test_a_refused_run_leaves_no_folder(door: Any, tmp_path: Path) -> None:
    door.action = InputError("no")
    write_files(tmp_path, {"mine/file": ""})
    for folder in ("mine/new/run", "mine", "new/run"):
        assert door("train", f"hydra.run.dir={folder}") == (2, "", "charrnn train: no\n")
    with pytest.raises(InputError, match="no"):
        charrnn.train()
    assert door("train", "-m", "seed=1,2", "hydra.sweep.dir=mine").code == 1
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    assert sorted(files) == ["mine", "mine/file", "mine/multirun.yaml"]


def test_all_jobs_start_from_the_same_latest_model(door: Any, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    latest = tmp_path / "outputs" / "latest"
    latest.symlink_to(tmp_path / "first")

    def begin(asked: Any) -> None:
        latest.unlink()
        latest.symlink_to(asked.folder)

    door.action = begin
    assert door("train", "-m", "init_from=outputs/latest", "seed=1,2").code == 0
    assert {asked.config.init_from for asked in door.asked} == {str(tmp_path / "first")}


def test_an_ended_sweep_goes_on_exactly(workplace: Path, capfd: Capture) -> None:
    """Resume for longer: an option that a resume may change changes in each job."""
    short, long = "trainer.max_steps=14", "trainer.max_steps=15"
    assert main(["train", *OPTIONS, "seed=1", long, "hydra.run.dir=whole"]) == 0
    sweep = ["train", "-m", *OPTIONS, "seed=null,1,2", "hydra.sweep.dir=sweep"]
    in_the_second_job = Fault("step", "forward", 14 + 10, partial(send, signal.SIGINT))
    run([*sweep, short], workplace, in_the_second_job, code=130)
    said = (workplace / "log.txt").read_text("utf-8")
    assert "Traceback" not in said
    assert "hydra.sweep.dir=sweep resume=auto\n" in said
    assert not (workplace / "sweep" / "2_seed=2" / "metrics.csv").exists()
    assert main([*sweep, long, "resume=auto"]) == 0
    assert capfd.readouterr().err.count("resuming from") == 2
    assert differences(workplace / "whole", workplace / "sweep" / "1_seed=1") == []
    with open("sweep/leaderboard.csv") as file:
        assert [row["steps"] for row in csv.DictReader(file)] == ["15"] * 3
    # what is finished stays as it is, and is no other run
    last = workplace / "sweep" / "0_seed=null" / "checkpoints" / "last.ckpt"
    before = last.stat().st_mtime_ns
    assert main([*sweep, long, "resume=auto"]) == 0
    assert capfd.readouterr().err.count("this run is finished, at step 15") == 3
    assert last.stat().st_mtime_ns == before
