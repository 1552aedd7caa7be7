"""Train one model in several processes (ranks), which torchrun or srun starts.

    torchrun --nproc_per_node=2 -m charrnn train ...        srun charrnn train ...

Every rank runs the whole command, with the words of rank 0. Rank 0 decides what is open, writes the
files and prints; `share` sends its values to the others. This module must start fast.
"""

from __future__ import annotations

import atexit
import os
import sys
from dataclasses import astuple, dataclass
from datetime import timedelta
from typing import Any, NoReturn

from charrnn.errors import InputError, Interrupted, RunError, to_one_line

# The variables of torchrun, which torch and Lightning read, and those of srun.
TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
SRUN = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES")
TIMEOUT = timedelta(minutes=60)  # The other ranks wait while rank 0 prepares the text.
# Messages of errors about a lost process, which are plain RuntimeErrors.
LOST = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")

typed_words: list[str] = []  # after `charrnn`, if this process is that command
_stores: list[Any] = []  # the store that connects the ranks, after `join`


@dataclass(frozen=True)
class World:
    """The rank of this process and the number of ranks, in all and on this machine (local)."""

    launcher: str = ""  # "torchrun" or "srun"; "" for a single process
    rank: int = 0
    local_rank: int = 0
    size: int = 1
    local_size: int = 1


def detect_world() -> World:
    """Return the world that the launcher describes; `World()` without one."""
    world = World()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world = World("torchrun", *(int(os.environ[name]) for name in TORCHRUN))
    elif os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        rank, local_rank, size, nodes = (int(os.environ[name]) for name in SRUN)
        world = World("srun", rank, local_rank, size, size // nodes)
    return world if world.size > 1 else World()


def join() -> World:
    """Wait for all ranks, and form the process group that Lightning then uses."""
    world = detect_world()
    for name in TORCHRUN[:2] if not world.launcher else ():
        if (value := os.environ.get(name, "0")) != "0":  # torch and Lightning infer a rank from it
            raise InputError(f"{name}={value}: start charrnn with torchrun or srun, or unset it")
    if not world.launcher or _stores:
        return world
    import torch

    distributed: Any = torch.distributed  # It does not declare all names that are public.
    if world.launcher == "srun":
        from lightning.fabric.plugins.environments import SLURMEnvironment

        os.environ.update(zip(TORCHRUN, map(str, astuple(world)[1:]), strict=True))
        address = SLURMEnvironment.resolve_root_node_address(os.environ["SLURM_STEP_NODELIST"])
        os.environ.setdefault("MASTER_ADDR", address)
        os.environ.setdefault("MASTER_PORT", str(SLURMEnvironment().main_port))
    # Messages between steps use the CPU (gloo), so that no GPU waits for them.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, *_ = next(distributed.rendezvous("env://"))
        # After a restart, torchrun's store still has the addresses of the old processes.
        store = distributed.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", ""), store)
        ranks = {"rank": world.rank, "world_size": world.size}
        distributed.init_process_group(backend, timeout=TIMEOUT, store=store, **ranks)
    except RuntimeError as error:
        raise RunError(f"{world.launcher}: cannot connect ({to_one_line(error)})") from error
    _stores.append(store)
    atexit.register(distributed.destroy_process_group)
    return world


def start(devices: int, num_nodes: int) -> NoReturn:
    """Replace the command that a user typed by torchrun, which starts its ranks."""
    if num_nodes > 1 or not typed_words:
        raise InputError(
            f"trainer.devices={devices} trainer.num_nodes={num_nodes}: start the command, or your "
            f"script, with srun, or with torchrun --nnodes={num_nodes} --nproc_per_node={devices}"
        )
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={devices}"]
    os.execv(sys.executable, [sys.executable, *torchrun, "-m", "charrnn", *typed_words])


def share(value: Any = None) -> Any:
    """Return the value of rank 0 on all ranks."""
    values = [value]
    if _stores:
        from torch import device, distributed

        try:
            distributed.broadcast_object_list(values, src=0, device=device("cpu"))
        except RuntimeError as error:  # Rank 0 has printed why, or was killed.
            raise InputError(f"another process of this run ended ({error})") from error
    return values[0]


def explain_lost(error: BaseException) -> RunError | None:
    """Return the error for one about the connection to another rank; None for others."""
    is_lost = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in LOST)
    reason = f"another process of this run ended ({to_one_line(error)})"
    return RunError(reason) if _stores and is_lost else None


def is_told(error: BaseException) -> bool:
    """Return whether another rank prints this error: the first one that fails does."""
    if detect_world().rank and (isinstance(error, Interrupted) or not _stores):
        return True  # All ranks stop together, or fail alike before they are connected.
    try:
        return any(store.add("failures", 1) > 1 for store in _stores)
    except RuntimeError:  # Rank 0 had the store, and has ended.
        return True
