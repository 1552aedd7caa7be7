"""What a person at a terminal sees of a run."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.small_runs import SMALL, metrics

COLUMNS = 80


def on_a_terminal(*words: str) -> str:
    """All that `charrnn train` wrote to a terminal of so many columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    repository = str(Path(__file__).resolve().parents[2])
    settings = {"PYTHONPATH": repository, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-m", "charrnn", "train", *SMALL, *words],
        env={**os.environ, **settings, "COLUMNS": str(COLUMNS), "LINES": "40"},
        stdin=subprocess.DEVNULL,
        stderr=follower,
    ) as process:
        os.close(follower)
        read = b""
        try:
            while piece := os.read(leader, 1 << 16):
                read += piece
        except OSError:  # how Linux ends a terminal that nobody holds open
            pass
    os.close(leader)
    assert process.returncode == 0, read.decode()
    return read.decode("utf-8")


def test_what_matters_is_in_the_bar_and_a_sample_now_and_then(workplace: Path) -> None:
    # a rate at which the loss soon gets worse again
    words = ["trainer.max_steps=60", "print_every=1", "optimizer.lr=0.3", "schedule=constant"]
    said = on_a_terminal("hydra.run.dir=run", "callbacks.samples.length=300", *words)
    rows = metrics(workplace / "run")
    losses = {int(row["step"]): float(row["val/loss"]) for row in rows if row["val/loss"]}
    bars = [bar for bar in re.split(r"[\r\n]", said) if "k/s" in bar]
    assert bars
    bar = re.compile(
        r"epoch \d\.\d\d / 3 \|.+\| \d+/60, [\d:]+ left, loss \d\.\d{3}(, .+)?, \S+k/s"
    )
    assert all(bar.fullmatch(line.strip()) for line in bars), bars
    assert any("best val" in line for line in bars)
    told = re.findall(r", val (\d+\.\d+), best (\d+\.\d+)", said)
    shown = {tuple(map(float, pair)) for pair in told}
    ran = [losses[step] for step in sorted(losses)]
    possible = {
        (round(loss, 3), round(min(ran[:number]), 3))
        for number, loss in enumerate(ran, 1)
        if loss > min(ran[:number])
    }
    assert shown
    assert shown <= possible
    step, best = min(losses.items(), key=lambda item: item[1])
    assert f", the best is {best:.4f} after step {step}" in said

    # what the bar left on a line is wiped before
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in said.split("\n")]
    lines = [line for line in lines if line.startswith("    ")]
    [first, *_] = sorted((workplace / "run" / "samples").glob("*.txt"))
    written = [line for line in first.read_text("utf-8").split("\n") if line.strip()]
    # of the first alone: the others came within the same minute
    assert lines == [f"    {line[: COLUMNS - 6]}" for line in written[:3]]
