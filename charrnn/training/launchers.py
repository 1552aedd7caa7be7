"""Who started this process, as far as the environment tells: torchrun, srun, a SLURM job.

Nothing heavy is imported here: what several processes cannot do is refused before torch is.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from dataclasses import dataclass

from charrnn.errors import InputError
from charrnn.options import ModelOptions, TrainOptions

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"  # torch's names for where the processes meet


@dataclass(frozen=True)
class Place:
    """The place of this process among those that train together.

    Attributes:
        launcher: who started them: torchrun, srun, or charrnn itself; "" for a process alone.
        rank: counted over all machines.
        local_rank: counted on this machine.
        processes: on all machines.
        local_processes: on each machine.
    """

    launcher: str = ""
    rank: int = 0
    local_rank: int = 0
    processes: int = 1
    local_processes: int = 1

    @property
    def nodes(self) -> int:
        return self.processes // self.local_processes

    @property
    def node(self) -> int:
        return self.rank // self.local_processes


ALONE = Place()


def place() -> Place:
    """Where torchrun or srun put this process; ALONE if it is theirs alone, or nobody's.

    Raises:
        InputError: the machines do not run equally many processes.
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        found = place_of_torchrun("torchrun")
    elif "SLURM_STEP_NUM_TASKS" in env:
        tasks, nodes = int(env["SLURM_STEP_NUM_TASKS"]), int(env.get("SLURM_STEP_NUM_NODES", 1))
        if tasks % nodes:
            raise InputError(
                f"srun: {tasks} processes cannot be spread evenly over {nodes} machines; "
                f"give --ntasks-per-node"
            )
        rank, local_rank = int(env["SLURM_PROCID"]), int(env["SLURM_LOCALID"])
        found = Place("srun", rank, local_rank, tasks, tasks // nodes)
    else:
        return ALONE
    return found if found.processes > 1 else ALONE


def place_of_torchrun(launcher: str) -> Place:
    """The place that the environment tells in torchrun's names."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    rank, local_rank, processes, local_processes = (int(os.environ[name]) for name in names)
    return Place(launcher, rank, local_rank, processes, local_processes)


def check(options: TrainOptions, place: Place) -> None:
    """Refuse what several processes cannot do, as far as it can be known from the options.

    Raises:
        InputError: names the option.
    """
    trainer = options.trainer
    devices = trainer.devices
    count = len(devices) if isinstance(devices, list) else devices
    if place.launcher:
        fits = count in ("auto", place.local_processes) and trainer.num_nodes == place.nodes
        if not fits:
            raise InputError(
                f"trainer.devices={devices} trainer.num_nodes={trainer.num_nodes}: "
                f"{place.launcher} started {place.local_processes} process(es) on each of "
                f"{place.nodes} machine(s); give trainer.devices={place.local_processes} "
                f"trainer.num_nodes={place.nodes}"
            )
        count = place.local_processes
    elif trainer.num_nodes > 1:
        raise InputError(
            f"trainer.num_nodes={trainer.num_nodes}: charrnn starts processes on its own machine "
            f"only; for several machines start it with torchrun or srun"
        )
    if count != "auto":
        check_count(options.model, options.data.batch_size, count * trainer.num_nodes)


def check_count(model: ModelOptions, batch_size: int, count: int) -> None:
    """Refuse what `count` processes in all cannot do.

    Raises:
        InputError: names the option.
    """
    if batch_size % count:
        raise InputError(
            f"data.batch_size={batch_size}: cannot be split evenly over {count} processes; "
            f"make it a multiple of {count}, or change trainer.devices"
        )
    if model.batchnorm and count > 1:
        raise InputError(
            f"model.batchnorm=true: its statistics would differ between {count} processes; "
            f"train it in one, with trainer.devices=1"
        )


# -- jobs that are started again -------------------------------------------------------


def restarted() -> bool:
    """Whether SLURM or torchrun started this process again after it was interrupted."""
    names = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    return any(int(os.environ.get(name) or 0) > 0 for name in names)


def may_be_restarted_by_torchrun() -> bool:
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS") or 0) > 0


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

    Nothing is done, and None returned, outside of a batch job. A job that SLURM itself is
    ending (because somebody cancelled it, or its time is up) must not come back.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    _slurm_job.cache_clear()
    known = _slurm_job(job)
    if known.get("BatchFlag") != "1":
        return None
    if known.get("JobState") != "RUNNING":
        return f"SLURM is ending job {job} already, and is not asked to queue it again"
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    if done.returncode == 0:
        return f"SLURM job {job} is queued again"
    what = " ".join(done.stderr.split()) or f"scontrol ended with {done.returncode}"
    return f"SLURM job {job} could not be queued again: {what}"


@functools.cache
def _slurm_job(job: str) -> dict[str, str]:
    """What SLURM says of a job; nothing where it cannot be asked."""
    command = ["scontrol", "--oneliner", "show", "job", job]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(field.split("=", 1) for field in said.stdout.split() if "=" in field)


def set_slurm_meeting_point() -> None:
    """Let all tasks of an srun step agree on an address and a port, unless the user gave them."""
    env = os.environ
    nodes = env.get("SLURM_STEP_NODELIST", "127.0.0.1")
    env.setdefault(ADDRESS, first_node(nodes))
    number = 16 * int(env.get("SLURM_JOB_ID", 0)) + int(env.get("SLURM_STEP_ID", 0)) % 16
    env.setdefault(PORT, str(15000 + number % 15000))


def first_node(nodes: str) -> str:
    """The first name in SLURM's notation of a list of machines: ``gpu[03-05,9],x`` is gpu03."""
    match = re.match(r"([^,\[]*)(?:\[([^],-]*)[^]]*\])?([^,]*)", nodes)
    assert match is not None
    return "".join(part or "" for part in match.groups())
