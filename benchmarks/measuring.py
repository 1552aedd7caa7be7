"""Calm rounds of interleaved parts, and child processes with their time and memory.

Two threads that meet a hundred times a step stand still when a third wants a core: a
program beside a benchmark can cost it ten times the share that it takes. So before a round
the machine is waited for, during it the processor time of all others is counted, and a
round that they disturbed is repeated. What was repeated is kept and told.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

# cores that others may use before a round counts as disturbed
CALM = 0.08
POLL_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much time a run takes for its figures.

    Attributes:
        rounds: calm rounds wanted of every pair.
        most_rounds: rounds after which it makes do with what it has.
        patience: seconds to wait for a calm machine before a round.
        scale: the share of the full sizes (steps, bytes, characters) that is measured.
    """

    rounds: int
    most_rounds: int
    patience: float
    scale: float

    def size(self, full: int, least: int = 1) -> int:
        """A number of steps, bytes or characters at this effort."""
        return max(least, round(full * self.scale))


FULL = Effort(rounds=5, most_rounds=12, patience=60, scale=1)
QUICK = Effort(rounds=2, most_rounds=3, patience=3, scale=0.25)
TINY = Effort(rounds=1, most_rounds=1, patience=0, scale=0.002)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One part's figures, a value a round.

    Attributes:
        values: of all rounds.
        calm: for each round, whether nothing else ran meanwhile.
    """

    values: list[float]
    calm: list[bool]

    @property
    def counted(self) -> list[float]:
        """The values of the calm rounds; of all where there was no calm one."""
        calm = [value for value, ok in zip(self.values, self.calm, strict=True) if ok]
        return calm or self.values

    @property
    def median(self) -> float:
        return statistics.median(self.counted)


def interleaved(parts: Mapping[str, Callable[[], float]], effort: Effort) -> dict[str, Measured]:
    """Measure parts in turns, round by round.

    Args:
        parts: each measures once and returns its figure, usually seconds.
    """
    values: dict[str, list[float]] = {name: [] for name in parts}
    calm: list[bool] = []
    while len(calm) < effort.most_rounds and calm.count(True) < effort.rounds:
        wait_until_calm(effort.patience)
        with others() as taken:
            for name, part in parts.items():
                values[name].append(part())
        calm.append(taken() < CALM)
    return {name: Measured(v, list(calm)) for name, v in values.items()}


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# -- what else runs --------------------------------------------------------------------


def wait_until_calm(patience: float) -> bool:
    """Wait until the machine is idle, at most so many seconds; whether it is."""
    until = time.monotonic() + patience
    while True:
        with others() as taken:
            time.sleep(0.25)
        if taken() < CALM:
            return True
        if time.monotonic() > until:
            return False


@contextmanager
def others() -> Iterator[Callable[[], float]]:
    """Yields a function that says how many cores other programs used during the block."""
    result: list[float] = []
    began, everyone, we = time.perf_counter(), _everyone(), _we()
    yield lambda: result[0]
    elapsed = time.perf_counter() - began
    # the system's clock ticks in hundredths of a second, on every core
    ticks = 0.01 * (os.cpu_count() or 1)
    used = (_everyone() - everyone) - (_we() - we) - ticks
    result.append(max(0.0, used) / elapsed)


def _everyone() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0)
    # a guest's time is part of user's
    guests = getattr(times, "guest", 0) + getattr(times, "guest_nice", 0)
    return float(sum(times) - idle - guests)


def _we() -> float:
    """Processor time of this process and of the children that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


# -- child processes ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ended:
    """A child process that ended.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: the most memory that it held (resident, mapped files included).
        lines: what it wrote to standard error, each with its time in seconds.
        output: what it wrote to standard output.
    """

    seconds: float
    peak_bytes: int
    lines: list[tuple[float, str]]
    output: str

    def at(self, text: str) -> float:
        """When the first line came that contains this text."""
        for when, line in self.lines:
            if text in line:
                return when
        raise ValueError(f"no line says {text!r}: {self.lines[-3:]}")


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] = {}) -> Ended:
    """Run a program to its end.

    Raises:
        RuntimeError: it failed; with its last lines.
    """
    began = time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=folder,
        # what Python compiles is kept, as it is where nobody says otherwise
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    lines: list[tuple[float, str]] = []
    output: list[str] = []
    assert child.stdout is not None
    assert child.stderr is not None

    def read_lines() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            lines.append((time.perf_counter() - began, line.rstrip("\n")))

    peaks = [0]

    def watch_memory() -> None:
        while child.returncode is None:
            peaks.append(_peak_bytes(child.pid))
            time.sleep(POLL_SECONDS)

    threads = [
        threading.Thread(target=read_lines),
        threading.Thread(target=lambda: output.append(child.stdout.read())),  # type: ignore[union-attr]
        threading.Thread(target=watch_memory),
    ]
    for thread in threads:
        thread.start()
    child.wait()
    elapsed = time.perf_counter() - began
    for thread in threads:
        thread.join()
    child.stdout.close()
    child.stderr.close()
    if child.returncode:
        last = " | ".join(line for _, line in lines[-5:])
        raise RuntimeError(f"{' '.join(command)[:200]}: exit code {child.returncode}: {last}")
    return Ended(elapsed, max(peaks), lines, output[0])


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has held so far, as far as the system tells."""
    try:
        # a child's ru_maxrss would begin at its parent's
        status = Path(f"/proc/{pid}/status").read_text()
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
