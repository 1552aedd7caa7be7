"""Start trainings in two processes, by torchrun, by srun's variables, or by the plain command."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import REPOSITORY
from tests.small_runs import SMALL

PLAIN = (sys.executable, "-m", "charrnn")
LAUNCHER = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
TORCHRUN = (*LAUNCHER, "-m", "charrnn")
THREADS = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


def start(*words: str, program: tuple[str, ...] = TORCHRUN, **variables: str) -> Any:
    """Start `charrnn WORDS` in a session of its own, with its standard error in a pipe."""
    return subprocess.Popen(
        [*program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **THREADS, **variables},
        start_new_session=True,
    )


def train(
    *words: str, folder: str = "", code: int = 0, small: bool = True, program: Any = TORCHRUN
) -> tuple[Path, str]:
    """Train in two processes to the end. Return the folder, and what was printed."""
    where = [f"hydra.run.dir={folder}"] if folder else []
    process = start("train", *(SMALL if small else ()), *where, *words, program=program)
    _, said = process.communicate(timeout=300)
    assert process.returncode == code, said
    return Path(folder).absolute(), said


def list_lines(said: str) -> list[str]:
    """Return the lines with which charrnn ends, without the report of the launcher."""
    return [line for line in said.splitlines() if line.startswith("charrnn train: ")]


@contextlib.contextmanager
def running(
    *words: str, until: str = "step 105 /", program: tuple[str, ...] = TORCHRUN
) -> Iterator[tuple[Any, list[int]]]:
    """Start `charrnn train`. Yield it at about step 105, with the ids of its ranks.

    Its steps have no end, so that it is still running.
    """
    process, ranks = start("train", *SMALL, *words, program=program), []
    try:
        for line in process.stderr:
            if "step 1 /" in line:
                ranks = list_children(process.pid)
            if until in line:
                break
        assert len(ranks) == 2
        yield process, ranks
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def list_children(parent: int) -> list[int]:
    """Return the processes that it has started, in this order."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
    found = [map(int, line.split()) for line in listed.stdout.splitlines()]
    return sorted(pid for pid, ppid in found if ppid == parent)
