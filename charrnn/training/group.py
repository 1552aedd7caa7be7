"""What Lightning and torch need to know about the processes that train together."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed
from lightning.fabric.plugins.environments import ClusterEnvironment  # type: ignore[attr-defined]
from lightning.fabric.utilities.rank_zero import rank_zero_only

from charrnn.options import TrainerOptions
from charrnn.training.launchers import ADDRESS, PORT, Place
from charrnn.training.processes import LostProcess, meet

# the others wait so long while rank 0 validates
TIMEOUT = timedelta(minutes=60)
# gloo's errors are plain RuntimeErrors
_LOST = ("gloo", "connection closed", "connection reset", "broken pipe")


@contextlib.contextmanager
def joined(place: Place, trainer: TrainerOptions) -> Iterator[None]:
    """Be a member of torch's process group, which Lightning then finds and uses.

    Its own would meet where a restart by torchrun still finds the addresses of processes
    that are gone.

    Raises:
        LostProcess: the others did not come.
    """
    if not place.launcher:
        yield
        return
    on_gpu = trainer.accelerator == "gpu"
    device: torch.device | None = None
    if on_gpu:
        devices = trainer.devices
        index = devices[place.local_rank] if isinstance(devices, list) else place.local_rank
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    try:
        torch.distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=meet(place).store,
            rank=place.rank,
            world_size=place.processes,
            timeout=TIMEOUT,
            device_id=device,
        )
    except RuntimeError as error:
        raise lost(error) from error
    yield
    # not after a failure: it may wait for processes that are gone
    torch.distributed.destroy_process_group()


class Group(ClusterEnvironment):
    """A `Place`, as Lightning asks for it.

    Lightning's own look at the environment once more, each in its way: one wants a variable
    that `srun` sets only for some of its options, and any of them may be found by mistake.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        rank_zero_only.rank = place.rank  # type: ignore[attr-defined]

    @staticmethod
    def detect() -> bool:
        return False  # given by name

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return os.environ.get(ADDRESS, "127.0.0.1")

    @property
    def main_port(self) -> int:
        return int(os.environ.get(PORT, 0))

    def world_size(self) -> int:
        return self.place.processes

    def set_world_size(self, size: int) -> None:
        assert size == self.place.processes

    def global_rank(self) -> int:
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        assert rank == self.place.rank

    def local_rank(self) -> int:
        return self.place.local_rank

    def node_rank(self) -> int:
        return self.place.node


def means_lost(error: BaseException) -> bool:
    """Whether an error raised while several processes train means that one of them is gone."""
    if isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _LOST)


def lost(error: BaseException) -> LostProcess:
    """What to raise for it: without its place in gloo's source and its explanations."""
    line = re.sub(r"^\[[^]]*\] *", "", str(error).split("\n")[0]).split(". ")[0][:120]
    return LostProcess(f"another process of this run ended or cannot be reached ({line})")
