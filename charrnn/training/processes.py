"""Several processes that train one model together: how they are started, talk, and end.

    charrnn train ──starts──▶ rank 0, rank 1, ...    on one machine, by `train_together`
         └── watches them, hands signals on, says how it ended

    torchrun, srun ──start──▶ charrnn train (rank 0), charrnn train (rank 1), ...

Either way one process leads: it reads the command line, prepares the data, chooses what is
automatic, and tells the others the task over torch's TCP store, where the processes meet
anyway. The others wait for it and print nothing.

Lightning can start processes itself, by running the command line again for each. Then every
one of them composes the config and may make folders, the first is both a part of the run and
its guard (once it is killed, the others hang), and nobody is left to say what happened.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from types import FrameType
from typing import IO, Any

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from charrnn.errors import InputError, Interrupted, RunError
from charrnn.training.launchers import ADDRESS, PORT, Place, set_slurm_meeting_point
from charrnn.training.signals import STOPPING
from charrnn.training.task import Result, Task

# once one process has ended badly, the others get this long to end by themselves (seconds)
GRACE = 5.0
LOOK_EVERY = 0.05
LOOPBACK = "127.0.0.1"


class LostProcess(RunError):
    """Another process of the run ended or cannot be reached."""


# -- what they tell each other ---------------------------------------------------------


class Board:
    """Where processes leave each other notes (JSON), by name."""

    def __init__(self, store: Store) -> None:
        # a restart by torchrun finds the store as the processes before it left it
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self.store = PrefixStore(f"charrnn/{attempt}", store)

    def put(self, name: str, note: Any) -> None:
        self.store.set(name, json.dumps(note))

    def take(self, name: str) -> Any:
        """Wait for a note.

        Raises:
            LostProcess: whoever keeps the board is gone.
        """
        try:
            # its own waiting would keep signals waiting too
            while not self.store.check([name]):
                time.sleep(LOOK_EVERY)
            return json.loads(self.store.get(name))
        except RuntimeError as error:
            raise LostProcess(f"the first process ended ({_first_line(error)})") from error

    def close(self) -> None:
        """Let those who wait for a task go home, if there was none."""
        with contextlib.suppress(RuntimeError):  # whoever keeps the board is gone
            if self.look("task") is None:
                self.put("task", None)

    def look(self, name: str) -> Any:
        """A note if it is there, else None."""
        return json.loads(self.store.get(name)) if self.store.check([name]) else None


@functools.cache
def meet(place: Place) -> Board:
    """The board of the processes that the environment tells of.

    Rank 0 sets it up, unless whoever started them did, and should come early: the others
    wait for minutes, not hours.

    Raises:
        RunError: they cannot meet.
    """
    if place.launcher == "srun":
        set_slurm_meeting_point()
    url = f"env://?rank={place.rank}&world_size={place.processes}"
    try:
        store, _, _ = next(rendezvous(url))
    except RuntimeError as error:
        where = f"{os.environ.get(ADDRESS)}:{os.environ.get(PORT)}"
        raise RunError(
            f"{place.launcher}: its processes cannot meet at {where} ({_first_line(error)}); "
            f"{ADDRESS} and {PORT} may name another place"
        ) from error
    board = Board(store)
    if place.rank == 0:
        atexit.register(board.close)
    return board


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:200]


# -- starting and watching them --------------------------------------------------------


def train_together(task: Task, count: int, threads: int, lock: IO[str]) -> Result:
    """Train in `count` processes on this machine.

    Args:
        threads: of each.
        lock: the lock of the run folder, which stays locked as long as one of them lives.

    Raises:
        InputError, RunError, Interrupted: as `charrnn.training.run.train` in one of them.
        RunError: one of them was killed; all are ended by then.
    """
    # on a port that is free, and that nobody else can take in between
    store = TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False)
    board = Board(store)
    board.put("task", asdict(task))
    crew = _Crew()
    try:
        with crew.handing_on_signals():
            for rank in range(count):
                crew.start(_environment(rank, count, threads, store.port), lock.fileno())
        crew.watch()
    finally:
        crew.end()
    return _ending([board.look(report_name(rank)) for rank in range(count)], crew)


def _environment(rank: int, count: int, threads: int, port: int) -> dict[str, str]:
    """What torchrun would set, since torch reads that."""
    env = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        ADDRESS: LOOPBACK,
        PORT: str(port),
        # the store is here already, so rank 0 must not open one
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "OMP_NUM_THREADS": str(threads),
    }
    env.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    env.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if sys.path[0] not in ("", os.getcwd()):
        # `python -m` would let files in this folder pass for modules
        env["PYTHONSAFEPATH"] = "1"
    return env


class _Crew:
    """The started processes, in the order of their ranks."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.handed_on: int | None = None  # SIGINT or SIGTERM, once one was
        self.killed: set[int] = set()
        self._previous: dict[int, Any] = {}

    @contextlib.contextmanager
    def handing_on_signals(self) -> Iterator[None]:
        """Signals wait while processes are started, and are handed on to all from then on.

        The processes start with them blocked, until they have handlers of their own.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            yield
            self._previous = {s: signal.signal(s, self._hand_on) for s in STOPPING}
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def start(self, environment: dict[str, str], lock: int) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "charrnn.commands.rank"],
            env=environment,
            # its end tells them that this process is gone
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(lock,),
            # a terminal's Ctrl-C reaches this process alone, and each of them once, through it
            start_new_session=True,
        )
        self.processes.append(process)

    def watch(self) -> None:
        """Wait until all have ended, or one has ended badly and the others had time to."""
        deadline: float | None = None
        while any(process.poll() is None for process in self.processes):
            if deadline is None and any(process.returncode for process in self.processes):
                deadline = time.monotonic() + GRACE
            if deadline is not None and time.monotonic() > deadline:
                return
            time.sleep(LOOK_EVERY)

    def end(self) -> None:
        """Kill those that are left."""
        for process in self.processes:
            if process.poll() is None:
                self.killed.add(process.pid)
                process.kill()
        for process in self.processes:
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _hand_on(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.handed_on == signal.SIGINT:
            # the second Ctrl-C: no waiting, not even for one that hangs; the files are whole
            signum = signal.SIGKILL
        else:
            self.handed_on = STOPPING[signal.Signals(signum)]
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signum)


# -- how they end ----------------------------------------------------------------------


def report_name(rank: int) -> str:
    """The name of the note in which a process says how it ended."""
    return f"end of {rank}"


def report_on(ending: Result | BaseException | None) -> dict[str, Any]:
    """How a process ended, as a note: its result, or what it raised."""
    if ending is None or isinstance(ending, Result):
        return {"result": ending and asdict(ending)}
    report = {"error": type(ending).__name__, "message": str(ending)}
    if isinstance(ending, OSError) and ending.strerror:
        named = f"{ending.filename}: {ending.strerror}" if ending.filename else ending.strerror
        return {"error": RunError.__name__, "message": named}
    if isinstance(ending, Interrupted):
        return {**report, "signum": ending.signum}
    if not isinstance(ending, InputError | RunError | MemoryError):
        report["traceback"] = "".join(traceback.format_exception(ending))
    return report


class _Fault(Exception):
    """An error of ours in another process, with its traceback."""


def _ending(reports: list[dict[str, Any] | None], crew: _Crew) -> Result:
    """The result that rank 0 reported; or raise what ended the run."""
    if reports[0] is not None and reports[0].get("result"):
        return Result(**reports[0]["result"])
    for report in reports:
        # those that only lost the others do not know why
        if report is not None and report.get("error") not in (None, LostProcess.__name__):
            raise _error_of(report)
    if crew.handed_on is not None:
        raise Interrupted("stopped", crew.handed_on)
    for rank, process in enumerate(crew.processes):
        if reports[rank] is None and process.pid not in crew.killed:
            raise RunError(f"rank {rank} (process {process.pid}) {_death(process.returncode)}")
    raise RunError("the processes of this run lost each other")


def _error_of(report: dict[str, Any]) -> BaseException:
    message = report["message"]
    if report["error"] == Interrupted.__name__:
        return Interrupted(message, report["signum"])
    for kind in (InputError, RunError, MemoryError):
        if report["error"] == kind.__name__:
            return kind(message)
    fault = RuntimeError(message)
    fault.__cause__ = _Fault("\n" + report.get("traceback", ""))
    return fault


def _death(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
