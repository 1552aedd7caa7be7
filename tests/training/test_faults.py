"""Runs that are killed or stopped, or that lose their disk or terminal, and then continue.

`make faults` is the long form. CI runs as root, for whom no mode bits make anything unwritable:
limits on a file's size and folders in the place of files do.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import termios
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from charrnn.models import checkpoint
from tests.faults.child import Fault, fail, limit_files, run, send
from tests.faults.runs import differences, go_on, start

SHORT = ("trainer.max_steps=20", "schedule.decay_every=1")


def ends_with(folder: Path, pattern: str) -> None:
    """Check the last line, and that there is no traceback and no half-written file."""
    log = (folder / "log.txt").read_text("utf-8")
    assert re.search(pattern, (log.splitlines() or [""])[-1])
    assert ("Traceback" in log) == ("bug" in pattern)
    assert not list(folder.rglob("*.part"))


LEADER: list[int] = []  # of the terminal, in the process that has one


def speak_to(descriptor: int) -> None:
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def on_a_terminal() -> None:
    """Give this process a new terminal, of which it holds the other end as well."""
    leader, follower = pty.openpty()
    os.setsid()
    fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
    speak_to(follower)
    LEADER.append(leader)


def close_the_terminal() -> None:
    os.close(LEADER.pop())  # and the kernel sends SIGHUP


def to_a_pipe_that_nobody_reads() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    speak_to(writer)


def sent(signum: int, phase: str, point: str, count: int = 1) -> Fault:
    return Fault(phase, point, count, partial(send, signum))


def fills(size: int, phase: str, point: str, count: int = 1) -> Fault:
    return Fault(phase, point, count, partial(limit_files, size))


def send_before_ctrl_c(signum: int) -> list[Fault]:
    return [sent(signum, "step", "forward", 2), sent(signal.SIGINT, "step", "backward", 2)]


def send_and_wait(signum: int) -> None:
    send(signum)
    time.sleep(1.5)


def sent_while_scoring(signum: int, count: int) -> Fault:
    """Return a signal in a block of a validation that takes a while. Each has one block."""
    return Fault("validation", "loss", count, partial(send_and_wait, signum))


STEP = ("step", "forward", 9)
STOPPED, BEFORE = "stopped after step 9; .* resume=run", "(terminated|interrupted); "
FULL = r"written \(File too large\).*resume=run"
at_the_start = partial(Fault, "start", "data", 1)
killed = -signal.SIGKILL
# what happens in a process, its exit code, a pattern of its last line (None: it may leave half a
# file), and the steps that may be saved then
Event = tuple[list[Fault], int, str | None, set[int] | None]
# One process after the other, each of which resumes the run; overrides are in the name.
CASES: dict[str, list[Event]] = {
    "kills": [
        ([Fault("metrics", "replaced", 2)], killed, None, None),
        # the model file is newer than all checkpoints
        ([Fault("export", "replaced")], killed, None, None),
        ([Fault("checkpoint", "half")], killed, None, None),
        # last.ckpt is there, and no best.ckpt
        ([Fault("checkpoint", "replaced")], killed, None, None),
    ],
    "signals": [
        ([sent(signal.SIGTERM, "start", "record")], 143, BEFORE, None),
        ([sent_while_scoring(signal.SIGTERM, 1)], 143, "validation after step 7;", None),
        # one in the last write of a step is seen after the next step
        ([sent(signal.SIGTERM, "checkpoint", "half", 2)], 143, "stopped after step 8", {8}),
        ([sent(signal.SIGTERM, "step", "forward")], 143, STOPPED, {9}),
        # a Ctrl-C after any signal ends the run at once
        (send_before_ctrl_c(signal.SIGINT), 130, "", {9}),
        (send_before_ctrl_c(signal.SIGHUP), 130, "", {9}),
        # no fault of the user's, nor of the checkpoint, with which steps were trained
        ([Fault("step", "backward", 3, fail)], 1, "this is a bug in charrnn", {9}),
    ],
    "terminals and a full disk": [
        ([at_the_start(on_a_terminal), Fault(*STEP[:2], 2, close_the_terminal)], 143, "", {2}),
        ([fills(30_000, "checkpoint", "begin", 2)], 1, "run/checkpoints/last.ckpt.*" + FULL, {2}),
        ([fills(10_000, "export", "begin")], 1, "run/model.safetensors.*" + FULL, {2}),
        ([at_the_start(to_a_pipe_that_nobody_reads)], 0, "", {20}),
    ],
    # The checkpoints are those of every 7th step, and of each best validation.
    "SIGTERM in each of three validations, validate_every=4": [
        ([sent_while_scoring(signal.SIGTERM, count)], 143, f"after step {step};", saved)
        for count, step, saved in ((2, 8, {7}), (2, 12, {8}), (2, 16, {14}))
    ],
    "SIGINT while it scores after the last step, callbacks=ema": [
        ([sent_while_scoring(signal.SIGINT, 3)], 130, "validation after step 20;", {14}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_reported_and_loses_nothing(workplace: Path, case: str) -> None:
    overrides = tuple(re.findall(r"\S+=\S+", case))
    for faults, code, said, steps in CASES[case]:
        (workplace / "log.txt").unlink(missing_ok=True)
        run(go_on(workplace, "run", *SHORT, *overrides), workplace, *faults, code=code)
        if said is not None:
            ends_with(workplace, said)
        if steps is not None:
            last = checkpoint.read(workplace / "run" / "checkpoints" / "last.ckpt")
            assert last["global_step"] in steps, said
    if code != 0:
        run(go_on(workplace, "run", *SHORT, *overrides), workplace)
    run(start("whole", *SHORT, *overrides), workplace)
    assert differences(workplace / "whole", workplace / "run") == []


def set_seed() -> None:
    torch.manual_seed(7)


def test_a_difference_would_be_found(workplace: Path) -> None:
    """Test the comparison: with other random numbers in one step it is another run."""
    run(start("run", *SHORT), workplace, Fault(*STEP, set_seed))
    run(start("whole", *SHORT), workplace)
    lost = differences(workplace / "whole", workplace / "run")
    assert {"weights", "optimizer", "metrics.csv", "model file", "TensorBoard"} <= set(lost)


def test_a_signal_stops_a_long_sample(workplace: Path) -> None:
    words = start("run", *SHORT, "callbacks.samples.length=10000000")
    run(words, workplace, sent(signal.SIGTERM, "sample", "begin"), code=143)
    line = "stopped in the validation after step 7; a resume repeats 7 steps; .*resume=auto$"
    ends_with(workplace, line)
