"""Measure functions in turns, and run child processes with their time and memory."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Effort:
    """The amount of work of a run.

    Attributes:
        rounds: the number of measurements of every part.
        scale: the share of the full sizes (steps, bytes, characters).
    """

    rounds: int
    scale: float

    def size(self, full: int, least: int = 1) -> int:
        """Return the number of steps, bytes or characters at this effort."""
        return max(least, round(full * self.scale))


FULL, QUICK, TINY = Effort(3, 1.0), Effort(2, 0.25), Effort(1, 0.002)


def measure_in_turns(
    parts: Mapping[str, Callable[[], float]], effort: Effort
) -> dict[str, list[float]]:
    """Measure parts in turns, round by round.

    Args:
        parts: functions that measure once and return a figure, usually seconds.
    """
    values: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(effort.rounds):
        for name, part in parts.items():
            values[name].append(part())
    return values


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start_time = time.perf_counter()
    call()
    return time.perf_counter() - start_time


# -- child processes ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ended:
    """The result of a child process.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: its peak resident memory, including mapped files.
        lines: the lines of its standard error, each with its time in seconds.
        output: its standard output.
    """

    seconds: float
    peak_bytes: int
    lines: list[tuple[float, str]]
    output: str

    def find_time(self, text: str) -> float:
        """Return the time of the first line that contains this text."""
        for when, line in self.lines:
            if text in line:
                return when
        raise ValueError(f"no line says {text!r}: {self.lines[-3:]}")


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] = {}) -> Ended:
    """Run a program to its end.

    Raises:
        RuntimeError: the program failed; the message has its last lines.
    """
    start_time = time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=folder,
        # Python keeps its compiled files, as it does by default.
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
            lines.append((time.perf_counter() - start_time, line.rstrip("\n")))

    peaks = [0]

    def watch_memory() -> None:
        while child.returncode is None:
            peaks.append(_read_peak_bytes(child.pid))
            time.sleep(POLL_SECONDS)

    threads = [
        threading.Thread(target=read_lines),
        threading.Thread(target=lambda: output.append(child.stdout.read())),  # type: ignore[union-attr]
        threading.Thread(target=watch_memory),
    ]
    for thread in threads:
        thread.start()
    child.wait()
    elapsed = time.perf_counter() - start_time
    for thread in threads:
        thread.join()
    child.stdout.close()
    child.stderr.close()
    if child.returncode:
        last = " | ".join(line for _, line in lines[-5:])
        raise RuntimeError(f"{' '.join(command)[:200]}: exit code {child.returncode}: {last}")
    return Ended(elapsed, max(peaks), lines, output[0])


def _read_peak_bytes(pid: int) -> int:
    """Return the peak memory of a process so far; 0 if the system does not report it."""
    try:
        # ru_maxrss of a child would include the memory of its parent at the fork.
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
