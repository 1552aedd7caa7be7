"""A terminal that is closed, a reader that leaves, a log on a full disk: the run loses nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from charrnn.models import checkpoint
from tests.faults.child import Fault
from tests.faults.runs import differences, go_on, run, start, write_corpus

SHORT = "trainer.max_steps=14", "print_every=1"
LEADER: list[int] = []  # of the terminal, in the process that has one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and with a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("runs")
    write_corpus(folder)
    run(start("whole", *SHORT), folder)
    return folder


def on_a_terminal() -> None:
    """Give this process a terminal of its own, of which it holds the other end as well."""
    leader, follower = pty.openpty()
    os.setsid()
    fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
    speak_to(follower)
    LEADER.append(leader)


def close_the_terminal() -> None:
    os.close(LEADER.pop())  # and the kernel sends SIGHUP


def speak_to(descriptor: int) -> None:
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def to_a_pipe_that_nobody_reads() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    speak_to(writer)


def to_a_full_disk() -> None:
    speak_to(os.open("/dev/full", os.O_WRONLY))


def to_a_terminal_that_is_gone() -> None:
    """As under nohup, which has SIGHUP ignored."""
    leader, follower = pty.openpty()
    os.close(leader)
    speak_to(follower)


@pytest.mark.parametrize(
    ("phase", "point", "count", "steps"),
    [
        pytest.param("start", "record", 1, None, marks=pytest.mark.slow),
        ("step", "forward", 9, {9}),
        pytest.param("checkpoint", "half", 2, {7, 8}, marks=pytest.mark.slow),
    ],
)
def test_a_terminal_that_is_closed(
    place: Path, phase: str, point: str, count: int, steps: set[int] | None
) -> None:
    name = f"{phase}-{point}"
    opened = Fault("start", "data", 1, on_a_terminal)
    closed = Fault(phase, point, count, close_the_terminal)
    run(start(name, *SHORT), place, opened, closed, code=143)
    assert not list((place / name).rglob("*.part"))
    if steps is not None:
        last = checkpoint.read(place / name / "checkpoints" / "last.ckpt")
        assert last["global_step"] in steps
    run(go_on(place, name, *SHORT), place)
    assert differences(place / "whole", place / name) == []


@pytest.mark.parametrize(
    "speak",
    [
        to_a_pipe_that_nobody_reads,
        pytest.param(to_a_full_disk, marks=pytest.mark.slow),
        pytest.param(to_a_terminal_that_is_gone, marks=pytest.mark.slow),
    ],
)
def test_nobody_hears_it(place: Path, speak: Callable[[], None]) -> None:
    run(start(speak.__name__, *SHORT), place, Fault("start", "data", 1, speak))
    assert differences(place / "whole", place / speak.__name__) == []


def test_standard_error_that_is_closed(place: Path) -> None:
    """As a shell's 2>&- leaves it."""
    words = [sys.executable, "-m", "charrnn", *start("closed", *SHORT)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, cwd=place, env=environment, preexec_fn=lambda: os.close(2))
    assert done.returncode == 0
    assert differences(place / "whole", place / "closed") == []
