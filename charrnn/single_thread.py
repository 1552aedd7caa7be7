"""One CPU thread for what is computed a character at a time.

Such a product is over in microseconds. Threads of a library would meet after each, and wait there
for any that another program keeps from its core: with both cores busy, 4 streams of 2 x 128 wrote
500 characters a second on two threads, and 23,600 on one; torch wrote 8, and 300.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_controller = ThreadpoolController()
_lock = threading.Lock()
_inside = 0  # threads of this process
_limits: Any = None


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Let NumPy's BLAS use one thread.

    The limit is the whole process's. The first thread that enters sets it, and the last that leaves
    restores what was before, whatever they do side by side.
    """
    global _inside, _limits
    with _lock:
        if not _inside:
            _limits = _controller.limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limits.restore_original_limits()


def torch_threads(count: int) -> ThreadPoolExecutor:
    """So many threads, in each of which torch uses one core for each operation.

    torch and its libraries keep that number for each thread, so no other's changes.
    """
    import torch

    pool = ThreadPoolExecutor(
        count, "charrnn-torch", initializer=torch.set_num_threads, initargs=(1,)
    )
    started = threading.Barrier(count + 1)
    with _lock:
        before = torch.get_num_threads()
        for _ in range(count):
            pool.submit(started.wait)
        started.wait()
        torch.set_num_threads(before)  # which threads that are yet to come begin with
    return pool


@functools.cache
def torch_worker() -> ThreadPoolExecutor:
    """One such thread, which stays."""
    return torch_threads(1)
