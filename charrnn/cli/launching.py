"""What a launcher raises when the process of a job is gone, rather than the job failed."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool


def lost(error: BaseException | None) -> str:
    """A line about a process that is gone; "" where the error is another one.

    A job that fails by itself hands its error back through Hydra; one that is killed, or runs
    out of memory, cannot.
    """
    if isinstance(error, BrokenProcessPool):
        return "a job's process was killed, and joblib stopped the others with it"
    # it need not be installed
    if type(error).__module__.startswith("submitit."):
        return "a job's process was killed, or left no result; others may be running still"
    return ""
