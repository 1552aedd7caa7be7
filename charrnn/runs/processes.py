"""Several processes that train one model together: how they start, form a group, and end.

    charrnn train ──starts──▶ rank 0, rank 1, ...    on one machine, by `train_together`
         └── watches them, forwards signals, says how it ended

    torchrun, srun ──start──▶ charrnn train (rank 0), charrnn train (rank 1), ...

Rank 0 alone reads the command line, decides and records; the others get the run from it.
torch.multiprocessing starts and watches: once one process ends badly it ends the others, and
the processes are told when the one that started them is gone. Lightning's own launcher would
replay the command line, and torch's `elastic_launch` kills a process that takes over 30 seconds
to write its checkpoint after a signal (torch 2.13).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning.fabric.plugins.environments import SLURMEnvironment
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import ProcessContext, ProcessException, start_processes

from charrnn.errors import InputError, Interrupted, RunError, one_line
from charrnn.runs.plan import Result, RunPlan
from charrnn.runs.world import World
from charrnn.say import streams_that_never_fail
from charrnn.training.signals import Signals

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"  # torch's names for where the processes meet
LOOPBACK = "127.0.0.1"
# the others wait so long while rank 0 prepares the text
TIMEOUT = timedelta(minutes=60)
# once one process has ended badly, the others get this long to end by themselves (seconds)
GRACE, POLL = 5.0, 0.1
# gloo's errors are plain RuntimeErrors
_LOST = ("gloo", "connection closed", "connection reset", "broken pipe")

Fit = Callable[[RunPlan, Signals, World], Result]


class LostProcess(RunError):
    """Another process of the run ended or cannot be reached."""


# -- on one machine ------------------------------------------------------------------------


def train_together(fit: Fit, run: RunPlan, count: int, signals: Signals) -> Result:
    """Train in `count` processes on this machine, each by a function that can be pickled.

    Raises:
        InputError, RunError, Interrupted: as `fit` in one of them; or one was killed, and all
            are ended by then.
    """
    # on a port that is free, and that nobody else can take in between
    store = TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False)
    pipes = [mp.get_context("spawn").Pipe(duplex=False) for _ in range(count)]
    arguments = (fit, run, count, store.port, [sender for _, sender in pipes])
    signals.hold()  # the processes begin with them blocked, until they have handlers
    context = start_processes(_rank, arguments, count, join=False, start_method="spawn")
    assert context is not None
    signals.defer()
    failed_rank, forwarded = None, False
    try:
        while not context.join(timeout=POLL, grace_period=GRACE):
            if signals.received and not forwarded:
                forwarded = True
                for process in (p for p in context.processes if p.is_alive()):
                    os.kill(process.pid, signals.received)
    except ProcessException as error:
        failed_rank = error.error_index
    reports = [receiver.recv() if receiver.poll() else None for receiver, _ in pipes]
    if failed_rank is None and isinstance(reports[0], Result):
        return reports[0]
    raise _failure(reports, context, failed_rank)


def _rank(
    rank: int, fit: Fit, run: RunPlan, count: int, port: int, senders: Sequence[Connection]
) -> None:
    """One of the processes, in which nothing but `train_together` runs this."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    world = World("charrnn", rank, rank, count, count)
    report: Any
    try:
        with (
            streams_that_never_fail(),
            Signals(verbose=False, exits_on_second=False) as signals,
        ):
            join(world, TCPStore(LOOPBACK, port, is_master=False))
            report = fit(run, signals, world)
    except (InputError, RunError, MemoryError, Interrupted) as error:
        report = error
    except BaseException as error:
        traceback.print_exception(error)
        report = RuntimeError(f"{type(error).__name__}: {error}")
    with contextlib.suppress(OSError):  # whoever would read it may be gone
        senders[rank].send(report)
    sys.stderr.flush()
    if isinstance(report, BaseException):
        # at the interpreter's end, the connections that are still open may be waited for, or
        # abort it; one that was interrupted ended well, and the others get the time they need
        os._exit(int(isinstance(report, Exception)))


def _failure(reports: list[Any], context: ProcessContext, failed_rank: int | None) -> BaseException:
    """What ended the run, of what each rank reported (None: it was killed)."""
    # a rank that merely lost its peers cannot name the cause
    causes = [report for report in reports if not isinstance(report, LostProcess | Result)]
    for kind in (Exception, Interrupted):
        if error := next((report for report in causes if isinstance(report, kind)), None):
            return error
    for rank in sorted(range(len(reports)), key=lambda rank: rank != failed_rank):
        process = context.processes[rank]
        if reports[rank] is None:
            code = process.exitcode or 0
            how = f"ended with exit code {code}"
            how = how if code >= 0 else f"was killed by {signal.Signals(-code).name}"
            return RunError(f"rank {rank} (process {process.pid}) {how}")
    return RunError("the processes of this run lost each other")


# -- the process group ---------------------------------------------------------------------


def join(world: World, store: Store | None = None) -> None:
    """Become a member of the group, which Lightning then finds and uses; each waits for all.

    Args:
        store: where they meet, if not where the environment says.

    Raises:
        RunError: they cannot meet.
    """
    if world.launcher == "srun":
        nodes = os.environ.get("SLURM_STEP_NODELIST", LOOPBACK)
        os.environ.setdefault(ADDRESS, SLURMEnvironment.resolve_root_node_address(nodes))
        os.environ.setdefault(PORT, str(SLURMEnvironment().main_port))
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
            f"{world.launcher}: its processes cannot meet at {where} ({one_line(error)})"
        ) from error


def follow(fit: Fit, world: World, signals: Signals) -> None:
    """Train as another rank, once rank 0 has handed over the run.

    Raises:
        LostProcess: rank 0 is gone, since it refused its command line, for one.
    """
    join(world)
    received: list[Any] = [None]
    try:
        _broadcast(received)
    except RuntimeError as error:
        raise LostProcess(f"rank 0 ended ({one_line(error)})") from error
    if received[0] is not None:
        fit(received[0], signals, world)


def send_run(run: RunPlan | None) -> None:
    """Hand the run to all other ranks; None: there is nothing to train."""
    _broadcast([run])


def _broadcast(objects: list[Any]) -> None:
    dist.broadcast_object_list(objects, src=0, device=torch.device("cpu"))


def lost_process(error: BaseException) -> LostProcess | None:
    """What to raise for an error that means that another process is gone; None for others."""
    is_lost = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _LOST)
    if not is_lost and not isinstance(error, dist.DistError):
        return None
    return LostProcess(
        f"another process of this run ended or cannot be reached ({one_line(error)})"
    )
