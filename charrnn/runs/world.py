"""Which process this is of those that train together, and who started it; nothing heavy here."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from charrnn.errors import InputError, shorten, to_one_line

# the variables of torchrun, in the order of the attributes of `World`
TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
# what torch and Lightning tell one of several processes by, whoever set it
RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
# the descriptor of the pipe to rank 0, in a process that charrnn has started
PIPE = "CHARRNN_PIPE"
# once a rank has failed, the others get this long to end by themselves (seconds)
GRACE = 5.0


@dataclass(frozen=True)
class World:
    """This process among those that train together; `local` ones are of its own machine.

    Attributes:
        launcher: who started them: torchrun, srun, or charrnn itself; "" for a process alone.
    """

    launcher: str = ""
    rank: int = 0
    local_rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def nodes(self) -> int:
        return self.size // self.local_size

    def to_environment(self) -> dict[str, str]:
        """Return the variables from which torch and Lightning know it, named as by torchrun."""
        values = (self.rank, self.local_rank, self.size, self.local_size)
        group_rank = self.rank // self.local_size
        return {"GROUP_RANK": str(group_rank), **dict(zip(TORCHRUN, map(str, values), strict=True))}


SINGLE_PROCESS = World()


def detect_world() -> World:
    """Return this process's place, as its launcher tells; SINGLE_PROCESS if there is none.

    Raises:
        InputError: a variable makes this one of several processes that neither of them started.
    """
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
                    f"{name}={shorten(text)}: makes this one of several processes, and neither "
                    f"torchrun nor srun started it; start charrnn with one of them, or unset {name}"
                )
        return SINGLE_PROCESS
    return started if started.size > 1 else SINGLE_PROCESS


def tie_to_rank_0() -> Connection:
    """Return the pipe to rank 0, which started this process; end this process soon after it."""
    pipe = Connection(int(os.environ[PIPE]))

    def leave_after_rank_0() -> None:
        pipe.poll(None)  # rank 0 sends nothing, but the pipe ends with it
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=leave_after_rank_0, daemon=True).start()
    return pipe


# -- jobs that are started again -------------------------------------------------------


def restarted_by_slurm() -> bool:
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0


def slurm_job_folder() -> str | None:
    """A folder for this step of this SLURM batch job, the same whenever the job is started
    again; None outside of one."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or _slurm_job(job).get("BatchFlag") != "1":
        return None
    step = os.environ.get("SLURM_STEP_ID")
    return f"outputs/train/slurm/{job}" + (f"-{step}" if step else "")


def requeue() -> str | None:
    """Put this SLURM batch job into the queue again; returns a line that says whether it worked.

    Nothing is completed, and None returned, outside of a batch job. A job that SLURM itself is
    ending (because somebody cancelled it, or its time is up) must not come back.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    if (state := _slurm_job(job)).get("BatchFlag") != "1":
        return None
    if state.get("JobState") != "RUNNING":
        return f"SLURM is ending job {job} already, and is not asked to queue it again"
    completed = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    if completed.returncode == 0:
        return f"SLURM job {job} is queued again"
    return f"SLURM job {job} could not be queued again: {to_one_line(completed.stderr)}"


def _slurm_job(job: str) -> dict[str, str]:
    """What SLURM says of a job; nothing where it cannot be asked."""
    command = ["scontrol", "--oneliner", "show", "job", job]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(field.split("=", 1) for field in answer.stdout.split() if "=" in field)
