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

# Several threads of a library would synchronize after each product, which takes microseconds, and
# wait for each other if another program needs a core. On two busy cores, 4 streams of a 2 x 128
# network wrote 500 characters per second with two threads and 23,600 with one; in torch 8 and 300.
_lock = threading.Lock()
_num_users = 0  # of the limit, in this process
_limits: Any = None


@contextlib.contextmanager
def limit_blas_threads() -> Iterator[None]:
    """Limit NumPy's BLAS to one thread inside the context.

    The limit applies to the process. The first thread that enters sets it, and the last thread that
    leaves restores the previous number.
    """
    global _num_users, _limits
    with _lock:
        if not _num_users:
            _limits = _get_controller().limit(limits=1, user_api="blas")
        _num_users += 1
    try:
        yield
    finally:
        with _lock:
            _num_users -= 1
            if not _num_users:
                _limits.restore_original_limits()


@functools.cache
def _get_controller() -> ThreadpoolController:
    """Return the controller of the libraries that are loaded at the first call."""
    return ThreadpoolController()


@functools.cache
def get_torch_pool(count: int) -> ThreadPoolExecutor:
    """Return a lasting pool of `count` threads, in each of which torch uses one core.

    torch keeps this number per thread, so existing threads are not affected. A thread that uses
    torch for the first time while the pool is being made also gets one core.
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
        torch.set_num_threads(before)  # the number with which new threads start
    return pool


os.register_at_fork(after_in_child=get_torch_pool.cache_clear)  # threads end at a fork
