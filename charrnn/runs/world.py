"""Detect the rank and the launcher of this process. This module must start fast."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from charrnn.errors import InputError, shorten, to_one_line

# The variables of torchrun, in the order of the attributes of `World`.
TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
# The variables from which torch and Lightning infer a rank.
RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
# The file descriptor of the pipe to rank 0, in a process that charrnn started.
PIPE = "CHARRNN_PIPE"
# After a rank has failed, the others are ended after this time (seconds).
GRACE = 5.0


@dataclass(frozen=True)
class World:
    """The rank of this process and the number of ranks, in all and on this machine (local)."""

    launcher: str = ""  # "torchrun", "srun" or "charrnn"; "" for a single process
    rank: int = 0
    local_rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def nodes(self) -> int:
        return self.size // self.local_size

    def to_environment(self) -> dict[str, str]:
        """Return the variables of torchrun, which torch and Lightning read."""
        values = (self.rank, self.local_rank, self.size, self.local_size)
        group_rank = self.rank // self.local_size
        return {"GROUP_RANK": str(group_rank), **dict(zip(TORCHRUN, map(str, values), strict=True))}


SINGLE_PROCESS = World()


def detect_world() -> World:
    """Return the world that the launcher describes; SINGLE_PROCESS without a launcher."""
    if PIPE in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        launcher = "charrnn" if PIPE in os.environ else "torchrun"
        started = World(launcher, *(int(os.environ[name]) for name in TORCHRUN))
    elif os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        names = ("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_PROCID", "SLURM_LOCALID")
        size, nodes, rank, local_rank = (int(os.environ[name]) for name in names)
        started = World("srun", rank, local_rank, size, size // nodes)
    else:
        for name in RANKS:
            if (text := os.environ.get(name, "0")) != "0":
                raise InputError(
                    f"{name}={shorten(text)}: makes this one of several processes, but neither "
                    f"torchrun nor srun started it; start charrnn with one of them, or unset {name}"
                )
        return SINGLE_PROCESS
    return started if started.size > 1 else SINGLE_PROCESS


def connect_to_rank_0() -> Connection:
    """Return the pipe to rank 0. If rank 0 ends, end this process soon after."""
    pipe = Connection(int(os.environ[PIPE]))

    def exit_after_rank_0() -> None:
        pipe.poll(None)  # rank 0 sends nothing, but closes the pipe when it ends
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=exit_after_rank_0, daemon=True).start()
    return pipe


# -- restarted jobs --------------------------------------------------------------------


def is_restarted_by_slurm() -> bool:
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0


def get_slurm_folder() -> str | None:
    """Return a folder for this step of a SLURM batch job and its restarts; None without a job."""
    if (job := _show_batch_job()) is None:
        return None
    step = os.environ.get("SLURM_STEP_ID")
    return f"outputs/train/slurm/{job['JobId']}" + (f"-{step}" if step else "")


def requeue_slurm_job() -> str | None:
    """Put this SLURM batch job into the queue again, and return a message; None without a job.

    A job that SLURM is ending, because it is cancelled or its time is up, is not requeued.
    """
    if (job := _show_batch_job()) is None:
        return None
    number = job["JobId"]
    if job["JobState"] != "RUNNING":
        return f"SLURM is already ending job {number}, so it is not queued again"
    completed = subprocess.run(["scontrol", "requeue", number], capture_output=True, text=True)
    if completed.returncode == 0:
        return f"SLURM job {number} is queued again"
    return f"SLURM job {number} could not be queued again: {to_one_line(completed.stderr)}"


def _show_batch_job() -> dict[str, str] | None:
    """Return the properties of this SLURM batch job, such as JobState; None if there is none."""
    if (number := os.environ.get("SLURM_JOB_ID")) is None:
        return None
    command = ["scontrol", "--oneliner", "show", "job", number]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    job = dict(field.split("=", 1) for field in output.split() if "=" in field)
    return job if job.get("BatchFlag") == "1" else None
