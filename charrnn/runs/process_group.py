"""The processes of one run as torch's process group: how they join it, and get the run."""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import SLURMEnvironment
from torch.distributed import Store  # type: ignore[attr-defined]

from charrnn.errors import RunError
from charrnn.runs.world import ADDRESS, PORT, World, slurm_port

# the others wait so long while rank 0 prepares the text
TIMEOUT = timedelta(minutes=60)
# gloo's errors are plain RuntimeErrors
_LOST = ("gloo", "connection closed", "connection reset", "broken pipe")


class LostProcess(RunError):
    """Another process of the run ended or cannot be reached."""


def join(world: World, store: Store | None = None) -> None:
    """Become a member of the group, which Lightning then finds and uses; each waits for all.

    Args:
        store: where they meet, if not where the environment says.

    Raises:
        RunError: they cannot meet.
    """
    if world.launcher == "srun":
        nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
        os.environ.setdefault(ADDRESS, SLURMEnvironment.resolve_root_node_address(nodes))
        os.environ.setdefault(PORT, str(slurm_port()))
    world.export()
    # what they exchange between steps goes over the CPU, and no GPU waits for it
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(
            backend, store=store, rank=world.rank, world_size=world.size, timeout=TIMEOUT
        )
    except RuntimeError as error:
        where = f"{os.environ.get(ADDRESS)}:{os.environ.get(PORT)}"
        raise RunError(
            f"{world.launcher}: its processes cannot meet at {where} ({_first_line(error)}); "
            f"{ADDRESS} and {PORT} may name another place"
        ) from error


def leave() -> None:
    """End the group; not after a failure, when it may wait for processes that are gone."""
    if sys.exc_info()[0] is None:
        dist.destroy_process_group()


def send_run(run: Any) -> None:
    """Hand the run to all other ranks; None: there is nothing to train."""
    _broadcast([run])


def receive_run() -> Any:
    """The run that rank 0 hands over.

    Raises:
        LostProcess: rank 0 is gone, since it refused its command line, for one.
    """
    received: list[Any] = [None]
    with ThreadPoolExecutor(1) as waiting:
        # a signal interrupts this wait, and would not one in torch
        future = waiting.submit(_broadcast, received)
        try:
            future.result()
        except RuntimeError as error:
            raise LostProcess(f"rank 0 ended ({_first_line(error)})") from error
    return received[0]


def _broadcast(objects: list[Any]) -> None:
    dist.broadcast_object_list(objects, src=0, device=torch.device("cpu"))


def means_lost(error: BaseException) -> bool:
    """Whether an error raised while several processes train means that one of them is gone."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _LOST)


def lost(error: BaseException) -> LostProcess:
    """What to raise for it: without its place in gloo's source and its explanations."""
    line = re.sub(r"^\[[^]]*\] *", "", _first_line(error)).split(". ")[0][:120]
    return LostProcess(f"another process of this run ended or cannot be reached ({line})")


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:200]
