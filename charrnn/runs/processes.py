"""Train one model in several processes: start them, form a process group, and end them.

    charrnn train (rank 0) ──starts──▶ rank 1, rank 2, ...     on one machine
    torchrun, srun ──start──▶ charrnn train (rank 0), charrnn train (rank 1), ...

Rank 0 reads the command line, decides the options, writes the config, and sends the run to the
other ranks. Lightning's launcher would replay the command line in each process, multiprocessing
would import the user's script again, and torchrun's agent kills a process that takes over 30
seconds to write its checkpoint after a signal (torch 2.13).
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection, Pipe
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import SLURMEnvironment
from omegaconf import DictConfig, OmegaConf
from torch.distributed import (  # type: ignore[attr-defined]
    PrefixStore,
    Store,
    TCPStore,
    rendezvous,
)

from charrnn.errors import STOP_SIGNALS, InputError, Interrupted, RunError, to_one_line
from charrnn.options.cells import CELLS, find_cell, register_cell
from charrnn.runs.folder import escape_interpolations
from charrnn.runs.hardware import count_processes
from charrnn.runs.run_values import Run
from charrnn.runs.world import GRACE, PIPE, World
from charrnn.say import say

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"  # torch's variables for the address of rank 0
LOOPBACK = "127.0.0.1"
TIMEOUT = timedelta(minutes=60)  # The other ranks wait while rank 0 prepares the text.
# Messages of gloo's errors about a lost process, which are plain RuntimeErrors.
_LOST = ("gloo", "connection closed", "connection reset", "broken pipe")
# The program of another rank. Its arguments are the `sys.path` of rank 0.
_FOLLOW = """\
import sys
sys.path[:] = sys.argv[1:]
from charrnn.commands.train import follow
sys.exit(follow())
"""

Fit = Callable[[Run, World], Any]


class LostProcess(RunError):
    """Another process of the run ended or cannot be reached."""


# -- rank 0 --------------------------------------------------------------------------------


def check_ranks(config: DictConfig, world: World) -> None:
    """Raise InputError if this process cannot start the other ranks of a run.

    They cannot import a class in the user's script, and a process has one process group.
    """
    if count_processes(config.trainer) == 1:
        return
    if dist.is_initialized() and not world.launcher:
        raise InputError(
            "trainer.devices: another training in this process has left its process group; end it "
            "first: torch.distributed.destroy_process_group()"
        )


@contextlib.contextmanager
def lead_ranks(run: Run, world: World) -> Iterator[World]:
    """Send the run to the other ranks, if it has any. Start and end them if no launcher does.

    Yield the world in which this process is rank 0.
    """
    count = count_processes(run.config.trainer)
    starts_ranks = count > 1 and not world.launcher
    ranks = _start_ranks(count, run) if starts_ranks else contextlib.nullcontext(world)
    with ranks as world:
        send_run(run, world)
        yield world


@contextlib.contextmanager
def _start_ranks(count: int, run: Run) -> Iterator[World]:
    """Start ranks 1 to `count` - 1 on this machine, form the group, and end them."""
    world = World("charrnn", 0, 0, count, count)
    # Port 0 selects a free port, and the store keeps it.
    store = TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False)
    environment = dict(os.environ)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    others: list[subprocess.Popen[bytes]] = []
    events: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    is_over = threading.Event()

    def watch(rank: int, process: subprocess.Popen[bytes], pipe: Connection) -> None:
        """Report when a rank is ready, and when it fails. End this process if it cannot go on.

        A rank sends None when it is ready, and then at most an error. EOFError: it has ended.
        """
        error: BaseException | None = None
        with pipe, contextlib.suppress(EOFError):
            while (error := pipe.recv()) is None:
                events.put(None)  # the rank is ready
        if process.wait():
            events.put(failure := _describe_failure(rank, process, error))
            if not is_over.wait(GRACE):  # NCCL waits for the rank until TIMEOUT
                say(f"charrnn train: {failure}; {run.explain_resume()}")
                os._exit(1)

    try:
        for rank in range(1, count):
            process, pipe = _start_rank(rank, count, store.port)
            others.append(process)
            threading.Thread(target=watch, args=(rank, process, pipe), daemon=True).start()
        for _ in others:  # wait here, because a signal cannot interrupt torch's wait
            if failure := events.get():
                raise failure
        join_group(world, store)
        yield world
        if any(process.wait() for process in others):
            raise LostProcess("another process of this run failed when it ended")
    except LostProcess as lost:
        is_over.set()
        with contextlib.suppress(queue.Empty):
            raise events.get(timeout=GRACE) or lost from lost
        raise
    finally:
        is_over.set()
        for process in others:
            process.kill()
            process.wait()
        if dist.is_initialized():
            dist.destroy_process_group()
        os.environ.clear()
        os.environ.update(environment)


def _start_rank(rank: int, count: int, port: int) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start another rank, and return its process with a pipe to it."""
    our_end, its_end = Pipe()
    world = World("charrnn", rank, rank, count, count)
    variables = {**world.to_environment(), PORT: str(port), PIPE: str(its_end.fileno())}
    # The process inherits the mask, and unblocks the signals when it handles them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    with its_end:
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _FOLLOW, *sys.path],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                pass_fds=[its_end.fileno()],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return process, our_end


def _describe_failure(
    rank: int, process: subprocess.Popen[bytes], error: BaseException | None
) -> BaseException:
    """Return the error that a rank sent, with its number, or else an error with its exit code."""
    if error is not None:
        error.args = (f"rank {rank}: {error}", *error.args[1:])
        return error
    code, cause = process.returncode, f"ended with exit code {process.returncode}"
    if code < 0:
        cause = f"was killed by {signal.Signals(-code).name}"
    return RunError(f"rank {rank} (process {process.pid}) {cause}")


def send_run(run: Run | None, world: World) -> None:
    """Send the run to all other ranks, with its registered cell. None: there is no training."""
    if world.size == 1:
        return
    kind = None if run is None else run.config.model.kind
    if run is not None:  # The other ranks have no Hydra that resolves ${hydra:...}.
        values = escape_interpolations(OmegaConf.to_container(run.config, resolve=True))
        run = replace(run, config=OmegaConf.create(values))
    _broadcast([run, None if kind is None or kind in CELLS else find_cell(kind)])


# -- the other ranks -----------------------------------------------------------------------


def follow(fit: Fit, world: World, rank_0: Connection | None) -> None:
    """Train as another rank, with the run from rank 0.

    `rank_0` is the pipe to rank 0, if it started this process.
    """
    with contextlib.nullcontext() if rank_0 is None else _report_errors(rank_0):
        if rank_0 is not None:
            rank_0.send(None)
        join_group(world)
        objects: list[Any] = [None, None]
        _broadcast(objects)
        run, cell = objects
        if cell is not None:
            register_cell(run.config.model.kind, cell)
        if run is not None:
            fit(run, world)


@contextlib.contextmanager
def _report_errors(rank_0: Connection) -> Iterator[None]:
    """Send an error to rank 0, and end this process."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, InputError | RunError | Interrupted):
            traceback.print_exception(error)
            error = RuntimeError(f"{type(error).__name__}: {error}")
        with contextlib.suppress(OSError):  # rank 0 may have ended
            rank_0.send(error)
        sys.stdout.flush()
        sys.stderr.flush()
        # A normal exit might wait for open connections, or abort.
        os._exit(int(isinstance(error, Exception)))


# -- the process group ---------------------------------------------------------------------


def join_group(world: World, store: Store | None = None) -> None:
    """Wait for all ranks, and form torch's default process group, which Lightning then uses.

    `store` connects the ranks; by default, the environment has the address of rank 0.
    """
    if world.launcher == "srun":
        nodes = os.environ.get("SLURM_STEP_NODELIST", LOOPBACK)
        os.environ.setdefault(ADDRESS, SLURMEnvironment.resolve_root_node_address(nodes))
        os.environ.setdefault(PORT, str(SLURMEnvironment().main_port))
    os.environ.update(world.to_environment())
    # Messages between steps use the CPU (gloo), so that no GPU waits for them.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        if world.launcher == "charrnn" and store is None:
            store = TCPStore(LOOPBACK, int(os.environ[PORT]), is_master=False)
        if world.launcher == "torchrun":
            # after a restart, its store still has the addresses of the old processes (torch 2.13)
            store, *_ = next(rendezvous("env://"))
            store = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", ""), store)
        dist.init_process_group(
            backend, store=store, rank=world.rank, world_size=world.size, timeout=TIMEOUT
        )
    except RuntimeError as error:
        address = f"{os.environ.get(ADDRESS)}:{os.environ.get(PORT)}"
        raise RunError(
            f"{world.launcher}: its processes cannot connect at {address} ({to_one_line(error)})"
        ) from error


def leave_group() -> None:
    """Leave the process group after a training."""
    dist.destroy_process_group()


def _broadcast(objects: list[Any]) -> None:
    """Send the objects of rank 0 to all ranks. Raise LostProcess if a rank has ended."""
    try:
        dist.broadcast_object_list(objects, src=0, device=torch.device("cpu"))
    except RuntimeError as error:
        raise LostProcess(f"another process of this run ended ({to_one_line(error)})") from error


def to_lost_process(error: BaseException) -> LostProcess | None:
    """Convert an error about the connection to another process; return None for other errors."""
    is_lost = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _LOST)
    if not is_lost and not isinstance(error, dist.DistError):
        return None
    return LostProcess(
        f"another process of this run ended or cannot be reached ({to_one_line(error)})"
    )
