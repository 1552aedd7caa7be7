"""Interleaved rounds, and child processes with their time and memory."""

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
    """How much time a run takes for its figures.

    Attributes:
        rounds: of every pair.
        scale: the share of the full sizes (steps, bytes, characters) that is measured.
    """

    rounds: int
    scale: float

    def size(self, full: int, least: int = 1) -> int:
        """A number of steps, bytes or characters at this effort."""
        return max(least, round(full * self.scale))


FULL, QUICK, TINY = Effort(3, 1.0), Effort(2, 0.25), Effort(1, 0.002)


def interleaved(parts: Mapping[str, Callable[[], float]], effort: Effort) -> dict[str, list[float]]:
    """Measure parts in turns, round by round.

    Args:
        parts: each measures once and returns its figure, usually seconds.
    """
    values: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(effort.rounds):
        for name, part in parts.items():
            values[name].append(part())
    return values


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


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
    """The most memory that a process has held so far; 0 where the system does not tell."""
    try:
        # a child's ru_maxrss would begin at its parent's
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
