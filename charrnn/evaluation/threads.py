"""Sum the results of several threads, in each of which torch uses one core.

If all threads shared each matrix product instead, they would synchronize a hundred times per
millisecond, and stall when another program needs a core.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import wait

import torch

from charrnn.processors import get_torch_pool

REPORT_INTERVAL = 0.5  # seconds


def sum_in_threads(tasks: Sequence[Iterable[float]], report: Callable[[int], None]) -> float:
    """Run each iterator in a thread, and return the sum of all values.

    A single iterator also runs in a thread, with one torch thread: several torch threads would
    wait for each other in each small product, on a busy machine for minutes.

    Args:
        report: called in this thread every `REPORT_INTERVAL` with the number of values so far; its
            exception ends the threads.
    """
    stopped, numbers = threading.Event(), [0] * len(tasks)

    def run(thread: int) -> float:
        total = 0.0
        with torch.inference_mode():
            for value in tasks[thread]:
                total += value
                numbers[thread] += 1
                if stopped.is_set():
                    break
        return total

    pool = get_torch_pool(len(tasks))
    futures = [pool.submit(run, thread) for thread in range(len(tasks))]
    try:
        for future in futures:
            while not wait([future], REPORT_INTERVAL).done:
                report(sum(numbers))
        return sum(future.result() for future in futures)
    finally:
        stopped.set()  # only the main thread receives the exception of a signal
        wait(futures)
