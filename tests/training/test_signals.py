"""Signals to real processes: the exit code, the line, the checkpoint, and what comes of it."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from charrnn.models import checkpoint
from tests.faults.child import Fault, send
from tests.faults.runs import OPTIONS, differences, go_on, run, start, write_corpus


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


STEP = ("step", "forward", 9)
BEFORE = "stopped before training began"
# a signal at a point of a phase -> the exit code, what the last line says, the step that is saved
SENT = [
    (signal.SIGTERM, STEP, 143, "stopped after step 9; .* resume=run goes on", {9}),
    # one that comes in the last write of a step is seen after the next one
    (signal.SIGTERM, ("checkpoint", "half", 2), 143, "stopped after step", {7, 8}),
    (signal.SIGTERM, ("start", "record", 1), 143, BEFORE, None),
]
SENT_SLOW = [
    (signal.SIGINT, STEP, 130, "stopped after step 9; .* resume=run goes on", {9}),
    (signal.SIGHUP, STEP, 143, "stopped after step 9; .* resume=run goes on", {9}),
    (signal.SIGUSR1, STEP, 143, "stopped after step 9; .* resume=run goes on", {9}),
    (signal.SIGUSR2, STEP, 143, "stopped after step 9; .* resume=run goes on", {9}),
    (signal.SIGQUIT, STEP, -signal.SIGQUIT, "", {7}),
    (signal.SIGTERM, ("validation", "loss", 1), 143, "stopped after step", {7, 8}),
    (signal.SIGTERM, ("sample", "sync", 1), 143, "stopped after step", {7, 8}),
    (signal.SIGTERM, ("start", "data", 1), 143, BEFORE, None),
    (signal.SIGTERM, ("start", "optimizer", 1), 143, BEFORE, None),
    # Lightning takes the handlers now: it waits, or ends the run before its first step
    (signal.SIGTERM, ("start", "fit", 1), 143, f"stopped after step 1|{BEFORE}", None),
]


@pytest.mark.parametrize(
    ("signum", "point", "code", "said", "steps"),
    [*SENT, *(pytest.param(*case, marks=pytest.mark.slow) for case in SENT_SLOW)],
)
def test_a_signal_saves_at_the_end_of_the_step_and_loses_nothing(
    place: Path,
    whole: Path,
    signum: int,
    point: tuple[str, str, int],
    code: int,
    said: str,
    steps: set[int] | None,
) -> None:
    run(start("run", "trainer.max_steps=20"), place, sent(signum, *point), code=code)
    assert not said or re.search(said, last_line(place))
    assert steps is None or step_of(place) in steps
    assert not list((place / "run").rglob("*.part"))
    run(go_on(place, "run", "trainer.max_steps=20"), place)
    assert differences(whole, place / "run") == []


def test_a_second_ctrl_c_leaves_at_once(place: Path, whole: Path) -> None:
    first, second = sent(signal.SIGINT, *STEP), sent(signal.SIGINT, "step", "backward", 9)
    run(start("run", "trainer.max_steps=20"), place, first, second, code=130)
    assert step_of(place) == 7
    run(go_on(place, "run"), place)
    assert not list((place / "run").rglob("*.part"))
    assert differences(whole, place / "run") == []


@pytest.mark.slow
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
    one, two = sorted(p.parent for p in (place / "sweep").glob("*/checkpoints"))
    steps = [checkpoint.read(p / "checkpoints" / "last.ckpt")["global_step"] for p in (one, two)]
    assert steps == [7, 3]
