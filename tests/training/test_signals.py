"""Signals to real processes: the exit code, the line, the checkpoint, and what comes of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from charrnn.models import checkpoint
from tests.faults.child import Fault, send
from tests.faults.runs import OPTIONS, differences, go_on, run, start, write_corpus

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 143}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps that nothing happens to."""
    folder = tmp_path_factory.mktemp("runs")
    write_corpus(folder)
    run(start("whole", "trainer.max_steps=20"), folder)
    return folder / "whole"


@pytest.fixture
def place(whole: Path) -> Iterator[Path]:
    """The folder of that run, where a test's own is `run`."""
    yield whole.parent
    for name in ("run", "sweep"):
        shutil.rmtree(whole.parent / name, ignore_errors=True)
    (whole.parent / "log.txt").unlink(missing_ok=True)


def sent(signum: int, phase: str, point: str, count: int = 1) -> Fault:
    return Fault(phase, point, count, partial(send, signum))


def last_line(place: Path) -> str:
    return (place / "log.txt").read_text("utf-8").rstrip().splitlines()[-1]


def step_of(place: Path, name: str = "last.ckpt") -> int:
    return int(checkpoint.read(place / "run" / "checkpoints" / name)["global_step"])


@pytest.mark.parametrize("signum", CODES)
def test_a_signal_saves_at_the_end_of_the_step(place: Path, whole: Path, signum: int) -> None:
    words = start("run", "trainer.max_steps=20")
    run(words, place, sent(signum, "step", "forward", 9), code=CODES[signum])
    assert last_line(place) == (
        "charrnn train: stopped after step 9; the last good checkpoint stands: "
        "charrnn train resume=run goes on from it"
    )
    assert step_of(place) == 9
    if signum != signal.SIGUSR1:
        run(go_on(place, "run"), place)
        assert differences(whole, place / "run") == []


@pytest.mark.parametrize(
    ("phase", "point", "count"),
    [("validation", "loss", 1), ("checkpoint", "half", 2), ("sample", "sync", 1)],
)
def test_a_signal_while_something_is_written(
    place: Path, phase: str, point: str, count: int
) -> None:
    words = start("run", "trainer.max_steps=20")
    run(words, place, sent(signal.SIGTERM, phase, point, count), code=143)
    # one that comes in the last write of a step is seen after the next one
    assert step_of(place) in (7, 8)
    assert not list((place / "run").rglob("*.part"))


def test_a_second_ctrl_c_leaves_at_once(place: Path, whole: Path) -> None:
    first = sent(signal.SIGINT, "step", "forward", 9)
    second = sent(signal.SIGINT, "step", "backward", 9)
    run(start("run", "trainer.max_steps=20"), place, first, second, code=130)
    assert last_line(place) == "left at once"
    assert step_of(place) == 7
    run(go_on(place, "run"), place)
    assert differences(whole, place / "run") == []


@pytest.mark.parametrize("point", ["data", "optimizer", "fit"])
def test_a_signal_before_training_begins(place: Path, whole: Path, point: str) -> None:
    words = start("run", "trainer.max_steps=20")
    run(words, place, sent(signal.SIGTERM, "start", point), code=143)
    # Lightning takes the handlers at `fit`: it waits, or ends the run before its first step
    first = "|after step 1" if point == "fit" else ""
    assert re.search(f"stopped (before training began{first}); ", last_line(place))
    run(go_on(place, "run", "trainer.max_steps=20"), place)
    assert differences(whole, place / "run") == []


def test_a_signal_while_a_checkpoint_is_read_damages_nothing(place: Path) -> None:
    run(start("run", "trainer.max_steps=7"), place)
    words = go_on(place, "run", "trainer.max_steps=9")
    run(words, place, sent(signal.SIGINT, "start", "read"), code=130)
    assert step_of(place) == 7
    assert not list((place / "run").rglob("*.damaged"))


def test_ctrl_c_ends_a_sweep(place: Path) -> None:
    words = ["train", "-m", *OPTIONS, "hydra.sweep.dir=sweep", "optimizer.lr=1e-3,2e-3,4e-3"]
    words += ["trainer.max_steps=7"]
    run(words, place, sent(signal.SIGINT, "step", "forward", 10), code=130)
    assert {p.parent.name for p in (place / "sweep").glob("*/checkpoints")} == {
        "0_optimizer.lr=0.001",
        "1_optimizer.lr=0.002",
    }
    content = checkpoint.read(
        place / "sweep" / "1_optimizer.lr=0.002" / "checkpoints" / "last.ckpt"
    )
    assert content["global_step"] == 3  # of the second job


def test_a_terminal_that_is_closed_under_nohup(place: Path) -> None:
    """Start-up and all, as a user sees it."""
    with _from_a_shell(place, "nohup") as process:
        _read_until(process, "step 3 / 2000")
        process.send_signal(signal.SIGHUP)
        _read_until(process, "step 21 / 2000")
        process.send_signal(signal.SIGTERM)
        out, rest = process.communicate(timeout=60)
    assert process.returncode == 143
    assert out == ""
    assert "SIGHUP" not in rest
    assert "Traceback" not in rest
    stopped = re.search(r"charrnn train: stopped after step (\d+); .*resume=run goes on", rest)
    assert stopped is not None
    assert step_of(place) == int(stopped[1])


def _from_a_shell(place: Path, *before: str) -> subprocess.Popen[str]:
    limits = "trainer.max_steps=2000", "trainer.max_epochs=1000"
    command = [*before, sys.executable, "-m", "charrnn", *start("run", *limits)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    said = ""
    while text not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
