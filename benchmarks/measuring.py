"""Measure programs and functions: seconds, memory, and medians of measurements in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "outputs" / "results"
CHARRNN = (sys.executable, "-m", "charrnn")
POLL_SECONDS = 0.02


def measure_in_turns(parts: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measure parts in turns, A B A B, and return the median of each.

    Args:
        parts: functions that measure once and return a number, usually of seconds.
        rounds: the number of measurements of every part.
    """
    values: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, measure in parts.items():
            values[name].append(measure())
    return {name: median(measured) for name, measured in values.items()}


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start_time = time.perf_counter()
    call()
    return time.perf_counter() - start_time


def load_or_measure(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the measurements in a JSON file. Measure and write them if there is no such file."""
    if not path.is_file():
        print(f"{path.relative_to(RESULTS).with_suffix('')} ...", file=sys.stderr, flush=True)
        text = json.dumps(measure(), indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    measured: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return measured


# -- programs ----------------------------------------------------------------------------


def read_peak_memory(pid: int) -> int:
    """Return the peak memory of a process so far, in bytes; 0 if the system does not report it."""
    try:
        # ru_maxrss of a child would include the memory of its parent at the fork.
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


@dataclass(frozen=True)
class Ended:
    """A program that has ended.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: its peak memory; on a CPU the resident memory, with mapped files.
        lines: the lines of its standard error, each with its time in seconds.
        output: its standard output.
    """

    seconds: float
    peak_bytes: int
    lines: list[tuple[float, str]]
    output: str

    def find_time(self, text: str) -> float:
        """Return the time of the first line that contains this text."""
        for seconds, line in self.lines:
            if text in line:
                return seconds
        raise ValueError(f"no line contains {text!r}: {self.lines[-3:]}")


def run(
    command: Sequence[str], folder: Path, read_memory: Callable[[int], int] = read_peak_memory
) -> Ended:
    """Run a program in a folder to its end.

    Args:
        read_memory: called again and again with the id of the process; returns bytes.

    Raises:
        RuntimeError: the program failed; the message has its last lines.
    """
    lines, memory, start_time = [], [0], time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        with subprocess.Popen(
            command,
            cwd=folder,
            # Python keeps its compiled files, as it does by default.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as child:

            def watch_memory() -> None:
                while child.returncode is None:
                    memory.append(read_memory(child.pid))
                    time.sleep(POLL_SECONDS)

            watcher = threading.Thread(target=watch_memory)
            watcher.start()
            assert child.stderr is not None
            for line in child.stderr:
                lines.append((time.perf_counter() - start_time, line.rstrip("\n")))
            child.wait()
            seconds = time.perf_counter() - start_time
            watcher.join()
        if child.returncode:
            last = " | ".join(line for _, line in lines[-5:])
            raise RuntimeError(f"{' '.join(command)[:200]}: exit code {child.returncode}: {last}")
        output.seek(0)
        return Ended(seconds, max(memory), lines, output.read())
