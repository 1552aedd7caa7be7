"""What is done with threads, freed memory and garbage, and whether the CPU multiplies bf16."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
KEPT = 1 << 30  # bytes

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


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GB that it has freed, to use it again.

    A training step frees some 20 MB of activations and asks for as much again a moment later. glibc
    hands freed memory of that size back to the system, which has to clear it, page by page, when it
    is next touched: 3,000 to 5,000 page faults a step at 2 x 128, or a third of the step.

    It holds no more than it held at its peak. With another C library nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT)
        # before glibc 2.38 no more than 32 MB is taken
        if not mallopt(_M_MMAP_THRESHOLD, KEPT):
            mallopt(_M_MMAP_THRESHOLD, KEPT >> 5)


def collect_garbage_again() -> None:
    """Where `charrnn.__main__` has put that off, from here on, but not in what is imported."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 itself (AVX-512 BF16 or AMX)."""
    import torch

    # before torch 2.11 nothing public tells; float32 is the safe answer then
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) is True for name in ("avx512_bf16", "amx_bf16"))


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products in bf16 pay on a device: on a GPU, and on a CPU that has them."""
    return device.type == "cuda" or (device.type == "cpu" and cpu_has_bf16())
