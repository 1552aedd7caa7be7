"""Limits of the threads that NumPy's BLAS and torch use for one operation."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from threadpoolctl import ThreadpoolController

# Threads of a library would synchronise after each product of a single character, which is over
# in microseconds, and wait there for any that another program keeps from its core: with both cores
# busy, 4 streams of 2 x 128 wrote 500 characters a second on two threads, and 23,600 on one; torch
# wrote 8, and 300.
_lock = threading.Lock()
_inside = 0  # threads of this process
_limits: Any = None


@contextlib.contextmanager
def single_blas_thread() -> Iterator[None]:
    """Let NumPy's BLAS use one thread.

    The limit is the whole process's. The first thread that enters sets it, and the last that leaves
    restores what was before, whatever they do side by side.
    """
    global _inside, _limits
    with _lock:
        if not _inside:
            _limits = _controller().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limits.restore_original_limits()


@functools.cache
def _controller() -> ThreadpoolController:
    """Of the libraries that are loaded when a thread first limits them."""
    return ThreadpoolController()


@functools.cache
def torch_threads(count: int) -> ThreadPoolExecutor:
    """So many threads, which stay, in each of which torch uses one core for each operation.

    torch and its libraries keep that number for each thread, so no other's changes; but one that
    first uses torch in the moment in which these begin would begin with one core, too.
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


os.register_at_fork(after_in_child=torch_threads.cache_clear)  # no thread outlives a fork
