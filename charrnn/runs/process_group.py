"""The processes of one run as torch's process group: how they meet, and hand over the task."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from charrnn.errors import RunError
from charrnn.runs.world import ADDRESS, PORT, World, set_slurm_meeting_point

# the others wait so long while the first prepares the text
TIMEOUT = timedelta(minutes=60)
ASK_EVERY = 0.02  # seconds
# gloo's errors are plain RuntimeErrors
_LOST = ("gloo", "connection closed", "connection reset", "broken pipe")
_task_sent = False


class LostProcess(RunError):
    """Another process of the run ended or cannot be reached."""


def meet(world: World, store: Store | None = None) -> None:
    """Become a member of the group, which Lightning then finds and uses; all wait for all.

    Args:
        store: where they meet, if not where the environment says.

    Raises:
        RunError: they cannot meet.
    """
    if dist.is_initialized():
        return
    if world.launcher == "srun":
        set_slurm_meeting_point()
    world.export()
    # what they tell each other between steps goes over the CPU, and no GPU waits for it
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        meeting = store if store is not None else _torchrun_store(world)
        dist.init_process_group(
            backend, store=meeting, rank=world.rank, world_size=world.size, timeout=TIMEOUT
        )
    except RuntimeError as error:
        where = f"{os.environ.get(ADDRESS)}:{os.environ.get(PORT)}"
        raise RunError(
            f"{world.launcher}: its processes cannot meet at {where} ({_first_line(error)}); "
            f"{ADDRESS} and {PORT} may name another place"
        ) from error
    if world.rank == 0 and store is None:
        # waiting ranks exit if no task is sent
        atexit.register(_dismiss)


def _torchrun_store(world: World) -> Store | None:
    """A part of torchrun's store for this start of the processes; None where it has no store.

    When torchrun starts them again, the addresses of the processes that are gone still stand in
    its store, and who reads one waits for nobody. So the first process draws a name, and makes
    sure that each of the others has heard it: one that is gone does not answer.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    address, port = os.environ[ADDRESS], int(os.environ[PORT])
    store = TCPStore(address, port, is_master=False, timeout=TIMEOUT)
    own = secrets.token_hex(8)
    if world.rank:
        store.set(f"charrnn/{world.rank}", own)
        name = store.get(f"charrnn/{own}").decode()
        store.set(f"charrnn/{name}/{world.rank}", "")
        return PrefixStore(name, store)
    silent = set(range(1, world.size))
    while silent:
        for rank in tuple(silent):
            if store.check([f"charrnn/{rank}"]):
                store.set(f"charrnn/{store.get(f'charrnn/{rank}').decode()}", own)
            if store.check([f"charrnn/{own}/{rank}"]):
                silent.remove(rank)
        time.sleep(ASK_EVERY)
    return PrefixStore(own, store)


def send_task(task: Any) -> None:
    """Tell all the others what to do; the first process does this, once."""
    global _task_sent
    _task_sent = True
    _broadcast([task])


def receive_task() -> Any:
    """What the first process tells the others to do; None if there is nothing.

    Raises:
        LostProcess: the first process is gone.
    """
    told: list[Any] = [None]
    with ThreadPoolExecutor(1) as waiting:
        # a signal interrupts this wait, and would not one in torch
        future = waiting.submit(_broadcast, told)
        try:
            future.result()
        except RuntimeError as error:
            raise LostProcess(f"the first process ended ({_first_line(error)})") from error
    return told[0]


def _broadcast(told: list[Any]) -> None:
    dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))


def _dismiss() -> None:
    if not _task_sent:
        with contextlib.suppress(RuntimeError, ValueError):
            send_task(None)


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
