"""Several processes that train one model together: how they are started, watched, and end.

    charrnn train ──starts──▶ rank 0, rank 1, ...    on one machine, by `train_together`
         └── watches them, hands signals on, says how it ended

    torchrun, srun ──start──▶ charrnn train (rank 0), charrnn train (rank 1), ...

torch.multiprocessing starts and watches: once one process ends badly it ends the others, and
the processes are told when the one that started them is gone. With torchrun and srun the first
process reads the command line and prepares the data, and hands the task to the others.

torch.distributed.launcher's `elastic_launch` is no replacement (tried with torch 2.13): a process
that returns after a signal waits for its result to be read until it is killed, 30 seconds later;
one that needs longer to write its checkpoint is killed too; an error comes back as a text of
lines, not as itself; and the process that starts them is told of a signal by an exception alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
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
from charrnn.models import checkpoint
from charrnn.runs import process_group
from charrnn.runs.fit import Inputs, fit
from charrnn.runs.process_group import LostProcess
from charrnn.runs.spec import Result, RunSpec
from charrnn.runs.world import World
from charrnn.say import lasting_streams
from charrnn.training.signals import Signals, handlers

# once one process has ended badly, the others get this long to end by themselves (seconds)
GRACE = 5.0
LOOK_EVERY = 0.1
LOOPBACK = "127.0.0.1"


def train_together(run: RunSpec, count: int, lock: int) -> Result:
    """Train in `count` processes on this machine.

    Args:
        lock: descriptor of the run folder's lock, which is held as long as one of them lives.

    Raises:
        InputError, RunError, Interrupted: as `fit` in one of them; or one was killed, and all
            are ended by then.
    """
    checkpoint.forget()  # each of them reads it
    # on a port that is free, and that nobody else can take in between
    store = TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False)
    pipes = [mp.get_context("spawn").Pipe(duplex=False) for _ in range(count)]
    start = _Start(run, count, store.port, [sender for _, sender in pipes], _Inherited(lock))
    with _environment(run), _HandingOn() as handing_on:
        context = start_processes(_rank, (start,), count, join=False, start_method="spawn")
        assert context is not None
        handing_on.to(context)
        first = _watch(context)
    reports = [receiver.recv() if receiver.poll() else None for receiver, _ in pipes]
    return _ending(reports, context, first, handing_on.received)


@dataclass
class _Start:
    """What the started processes are given."""

    run: RunSpec
    count: int
    port: int
    reports: list[Connection]
    lock: _Inherited


@dataclass
class _Inherited:
    """An open file that a started process has, too: it holds the lock as long as it lives."""

    descriptor: int

    def __reduce__(self) -> Any:
        # called while a process is started, which is when a descriptor can be handed over
        return _taken_over, (DupFd(self.descriptor),)


def _taken_over(inherited: Any) -> _Inherited:
    return _Inherited(inherited.detach())


def _rank(rank: int, start: _Start) -> None:
    """One of the processes, in which nothing but `train_together` runs this."""
    world = World("charrnn", rank, rank, start.count, start.count)
    try:
        with lasting_streams(), Signals(speaks=rank == 0, hurries=False) as signals:
            store = TCPStore(LOOPBACK, start.port, is_master=False)
            process_group.meet(world, store)
            ending: Any = fit(start.run, signals, world)
            _leave_group()
    except Interrupted as stopped:
        ending = stopped
    except BaseException as error:
        ending = told(error)
    with contextlib.suppress(OSError):  # whoever would read it may be gone
        start.reports[rank].send(ending)
    sys.stderr.flush()
    if isinstance(ending, BaseException):
        # at the interpreter's end, the connections that are still open may be waited for, or
        # abort it; one that was interrupted ended well, and the others get the time they need
        os._exit(int(isinstance(ending, Exception)))


def told(error: BaseException) -> Exception:
    """An error as another process can be told it."""
    if isinstance(error, (InputError, RunError, MemoryError)):
        return error
    if isinstance(error, OSError) and error.strerror:
        return RunError(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    import traceback

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
    reports: list[Any], context: ProcessContext, first: int | None, received: int | None
) -> Result:
    """The result that rank 0 reported; or raise what ended the run."""
    if isinstance(reports[0], Result) and first is None:
        return reports[0]
    for report in reports:
        # a rank that merely lost its peers cannot name the cause
        if isinstance(report, BaseException) and not isinstance(report, (LostProcess, Interrupted)):
            raise report
    silent = [rank for rank, report in enumerate(reports) if report is None]
    if first is not None and silent and received is None:
        rank = first if first in silent else silent[0]
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
def _environment(run: RunSpec) -> Iterator[None]:
    """What the started processes inherit."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    wanted = {
        "OMP_NUM_THREADS": str(run.config.trainer.threads),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", loopback),
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _HandingOn:
    """Signals wait while processes are started, and are handed on to all from then on.

    The processes start with them blocked, until they have handlers of their own.

    Attributes:
        received: SIGINT or SIGTERM, once one was handed on.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.context: ProcessContext | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _HandingOn:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        return self

    def to(self, context: ProcessContext) -> None:
        self.context = context
        self._previous = handlers()
        for signum in self._previous:
            signal.signal(signum, self._hand_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _hand_on(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.received == signal.SIGINT:
            # the second Ctrl-C: no waiting, not even for one that hangs; the files are whole
            signum = signal.SIGKILL
        else:
            self.received = STOPPING[signal.Signals(signum)]
        assert self.context is not None
        for process in self.context.processes:
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, signum)


# -- with torchrun and srun ----------------------------------------------------------------


def lead(run: RunSpec, world: World, signals: Signals, inputs: Inputs) -> Result:
    """Train as the first of the processes that torchrun or srun started."""
    process_group.send_task(run)
    try:
        return fit(run, signals, world, inputs)
    finally:
        _leave_group()


def follow(world: World, signals: Signals) -> None:
    """Train as another of them, once the first has said what."""
    process_group.meet(world)
    run = process_group.receive_task()
    if run is not None:
        try:
            fit(run, signals, world)
        finally:
            _leave_group()


def _leave_group() -> None:
    # not after a failure: it may wait for processes that are gone
    if sys.exc_info()[0] is None:
        import torch.distributed

        torch.distributed.destroy_process_group()
