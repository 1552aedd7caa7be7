"""Start trainings in two processes: by torchrun, or as forks with srun's variables.

Each launch by torchrun imports torch and Lightning three times, which takes ten seconds of
processor; a fork takes none. So only slow tests start torchrun.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from charrnn.__main__ import main
from tests import REPOSITORY
from tests.small_runs import SMALL

PLAIN = (sys.executable, "-m", "charrnn")
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
TORCHRUN = (sys.executable, *LAUNCHER, "-m", "charrnn")
THREADS = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
TIMEOUT = 300  # seconds


def train(
    *words: str, folder: str = "", small: bool = True, program: tuple[str, ...] = TORCHRUN
) -> str:
    """Train in two processes to the end. Return what was printed to standard error."""
    where = [f"hydra.run.dir={folder}"] if folder else []
    done = subprocess.run(
        [*program, "train", *(SMALL if small else ()), *where, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **THREADS},
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def fork_ranks(*words: str) -> list[BaseProcess]:
    """Start `charrnn WORDS` in two ranks, whose standard error goes into said.0 and said.1."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["charrnn.commands.train", "charrnn.training", "lightning"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    folder = os.getcwd()
    ranks = [context.Process(target=_run, args=(rank, port, folder, words)) for rank in range(2)]
    for process in ranks:
        process.start()
    return ranks


def wait_for(ranks: list[BaseProcess]) -> list[int | None]:
    """Wait for the ends of the ranks, and return their exit codes."""
    for process in ranks:
        process.join(TIMEOUT)
        process.kill()
        process.join()
    return [process.exitcode for process in ranks]


def read_said(rank: int) -> str:
    """Return the text that a forked rank has printed to standard error."""
    path = Path(f"said.{rank}")
    return path.read_text("utf-8") if path.exists() else ""


def _run(rank: int, port: str, folder: str, words: tuple[str, ...]) -> None:
    """Run the command as a rank, in a folder."""
    os.chdir(folder)
    said = os.open(f"said.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, sys.stderr.fileno())
    os.environ.update(
        SLURM_JOB_ID="12", SLURM_STEP_NODELIST="127.0.0.1", MASTER_PORT=port,
        SLURM_STEP_NUM_TASKS="2", SLURM_STEP_NUM_NODES="1",
        SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank),
    )  # fmt: skip
    sys.exit(main(list(words)))
