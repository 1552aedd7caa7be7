"""Several processes that train one model together: how they are started, watched, and end.

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import torch.multiprocessing as mp
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from charrnn.errors import STOPPING, InputError, Interrupted, RunError
from charrnn.runs import process_group
from charrnn.runs.process_group import LostProcess
from charrnn.runs.spec import Result, RunSpec
from charrnn.runs.world import World
from charrnn.say import streams_that_never_fail
from charrnn.training.signals import Signals, handlers

# once one process has ended badly, the others get this long to end by themselves (seconds)
GRACE = 5.0
LOOK_EVERY = 0.1
LOOPBACK = "127.0.0.1"


Fit = Callable[[RunSpec, Signals, World], Result]


@dataclass
class _Start:
    """What the started processes are given."""

    fit: Fit
    run: RunSpec
    count: int
    port: int
    reports: list[Connection]


def train_together(fit: Fit, run: RunSpec, count: int) -> Result:
    """Train in `count` processes on this machine, each by a function that can be pickled.

    Raises:
        InputError, RunError, Interrupted: as `fit` in one of them; or one was killed, and all
            are ended by then.
    """
    # on a port that is free, and that nobody else can take in between
    store = TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False)
    pipes = [mp.get_context("spawn").Pipe(duplex=False) for _ in range(count)]
    start = _Start(fit, run, count, store.port, [sender for _, sender in pipes])
    with _quiet_torch(), _blocked_signals():
        context = start_processes(_rank, (start,), count, join=False, start_method="spawn")
        assert context is not None
        forwarding = _Forwarding(context)
    try:
        failed_rank = _watch(context)
    finally:
        forwarding.end()
    reports = [receiver.recv() if receiver.poll() else None for receiver, _ in pipes]
    return _ending(reports, context, failed_rank, forwarding.received)


def _rank(rank: int, start: _Start) -> None:
    """One of the processes, in which nothing but `train_together` runs this."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    world = World("charrnn", rank, rank, start.count, start.count)
    try:
        with streams_that_never_fail(), Signals(speaks=rank == 0, hurries=False) as signals:
            process_group.join(world, TCPStore(LOOPBACK, start.port, is_master=False))
            ending: Any = start.fit(start.run, signals, world)
            process_group.leave()
    except Interrupted as stopped:
        ending = stopped
    except BaseException as error:
        ending = sendable(error)
    with contextlib.suppress(OSError):  # whoever would read it may be gone
        start.reports[rank].send(ending)
    sys.stderr.flush()
    if isinstance(ending, BaseException):
        # at the interpreter's end, the connections that are still open may be waited for, or
        # abort it; one that was interrupted ended well, and the others get the time they need
        os._exit(int(isinstance(ending, Exception)))


def sendable(error: BaseException) -> Exception:
    """An error in a form that another process can be sent."""
    if isinstance(error, (InputError, RunError, MemoryError)):
        return error
    if isinstance(error, OSError) and error.strerror:
        return RunError(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    traceback.print_exception(error)
    return RuntimeError(f"{type(error).__name__}: {error}")


def _watch(context: ProcessContext) -> int | None:
    """Wait until all have ended; the rank that ended badly first, or None."""
    try:
        while not context.join(timeout=LOOK_EVERY, grace_period=GRACE):
            pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        return error.error_index
    return None


def _ending(
    reports: list[Any], context: ProcessContext, failed_rank: int | None, received: int | None
) -> Result:
    """The result that rank 0 reported; or raise what ended the run."""
    if isinstance(reports[0], Result) and failed_rank is None:
        return reports[0]
    for report in reports:
        # a rank that merely lost its peers cannot name the cause
        if isinstance(report, BaseException) and not isinstance(report, (LostProcess, Interrupted)):
            raise report
    silent = [rank for rank, report in enumerate(reports) if report is None]
    if failed_rank is not None and silent and received is None:
        rank = failed_rank if failed_rank in silent else silent[0]
        process = context.processes[rank]
        raise RunError(f"rank {rank} (process {process.pid}) {_death(process.exitcode)}")
    for report in reports:
        if isinstance(report, Interrupted):
            raise report
    if received is not None:
        raise Interrupted("stopped", received)
    raise RunError("the processes of this run lost each other")


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


@contextlib.contextmanager
def _quiet_torch() -> Iterator[None]:
    """Keep warnings of torch's sockets off the terminal; a process reads this at torch's import."""
    name = "TORCH_CPP_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ.setdefault(name, "ERROR")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Processes that are started inside begin with them blocked, until they have handlers."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


class _Forwarding:
    """Forwards stopping signals to all processes until `end`.

    Attributes:
        received: SIGINT or SIGTERM, once one was forwarded.
    """

    def __init__(self, context: ProcessContext) -> None:
        self.received: int | None = None
        self._context = context
        self._previous = handlers()
        for signum in self._previous:
            signal.signal(signum, self._forward)

    def end(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _forward(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.received == signal.SIGINT:
            # the second Ctrl-C: no waiting, not even for one that hangs; the files are whole
            signum = signal.SIGKILL
        else:
            self.received = STOPPING[signal.Signals(signum)]
        for process in self._context.processes:
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, signum)


# -- with torchrun and srun ----------------------------------------------------------------


def lead(run: RunSpec, fit: Callable[[], Result]) -> Result:
    """Train as rank 0 of the processes that torchrun or srun started."""
    process_group.send_run(run)
    try:
        return fit()
    finally:
        process_group.leave()


def follow(fit: Fit, world: World, signals: Signals) -> None:
    """Train as another rank, once rank 0 has handed over the run."""
    process_group.join(world)
    run = process_group.receive_run()
    if run is not None:
        try:
            fit(run, signals, world)
        finally:
            process_group.leave()
