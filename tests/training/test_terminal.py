"""Test what a person at a terminal sees of a run."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from pathlib import Path

import pytest

from tests.small_runs import Train, column

COLUMNS = 80


def on_a_terminal(train: Train, *words: str) -> tuple[Path, str]:
    """Return the run of `train`, and its output on a terminal of this many columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    written: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(leader, 1 << 16):
                written.append(piece)
        except OSError:  # how Linux ends a terminal that nobody holds open
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.MonkeyPatch.context() as patch, open(follower, "w", encoding="utf-8") as terminal:
        patch.setenv("COLUMNS", str(COLUMNS))
        patch.setattr(sys, "stderr", terminal)
        run = train(*words)
    reader.join()
    os.close(leader)
    return run, b"".join(written).decode("utf-8")


def test_a_bar_and_each_validation_with_a_line_of_its_sample(train: Train) -> None:
    # a rate at which the loss soon gets worse again
    words = ["print_every=1", "optimizer.lr=0.3", "schedule=constant", "trainer.max_steps=60"]
    words += ["callbacks=early_stopping", "callbacks.early_stopping.patience=2"]
    run, output = on_a_terminal(train, "callbacks.samples.length=300", *words)
    bar = r"epoch \d\.\d\d / 3\.00 \|.+\| +\d+/60"
    bar += r"(, validating|(, [\d:]+ left)?(, loss \d\.\d{3}, \S+k/s)?)"
    bars = [line for line in re.split(r"[\r\n]+", output) if line.startswith("epoch")]
    assert any("k/s" in line for line in bars)
    assert all(re.fullmatch(bar, line.strip()) and len(line) < COLUMNS for line in bars), bars

    # the rest of the bar on a line is wiped before another is written there
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in output.split("\n")]
    losses = column(run, "val/loss")
    best = min(losses, key=losses.__getitem__)
    last = max(losses)
    assert best < last < 60
    assert f"validation after step {best}: loss {losses[best]:.4f}, the best so far" in lines
    still = f"the best is {losses[best]:.4f} after step {best}"
    assert f"validation after step {last}: loss {losses[last]:.4f}, {still}" in lines
    samples = [path.read_text("utf-8") for path in sorted((run / "samples").iterdir())]
    longest = [max(sample.splitlines(), key=len).strip() for sample in samples]
    assert [line for line in lines if line.startswith("    ")] == [f"    {x[:74]}" for x in longest]
