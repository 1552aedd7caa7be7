"""End the workers of a sweep with the command that started them.

Joblib's workers outlive a command that was killed: they finish their jobs, and then wait for others
with all their memory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

POLL = 0.5  # seconds
MOST_SECONDS = 60.0  # in which a job may save its run

_is_working = threading.Event()
_followed: set[int] = set()  # the command's process, once a thread of this worker waits for its end


@contextlib.contextmanager
def end_with_command(command_pid: int) -> Iterator[None]:
    """Run a job. If this is a worker, end it after the command.

    The job ends as after SIGTERM, so its run is saved. A job that submitit runs is not the
    command's child, and continues.
    """
    is_worker = os.getppid() == command_pid
    if is_worker and command_pid not in _followed:
        _followed.add(command_pid)
        threading.Thread(target=_follow, args=(command_pid,), daemon=True).start()
    _is_working.set()
    try:
        yield
    finally:
        _is_working.clear()


def _follow(command_pid: int) -> None:
    """Wait for the end of the command, and end this worker after its job has saved the run."""
    while os.getppid() == command_pid:
        time.sleep(POLL)
    if _is_working.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    deadline = time.monotonic() + MOST_SECONDS
    while _is_working.is_set() and time.monotonic() < deadline:
        time.sleep(POLL)
    os._exit(128 + signal.SIGTERM)
