"""The processors that compute: a device, the threads of NumPy and torch, and freed memory."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import OpenBLASController, ThreadpoolController

from charrnn.options.ranges import DEVICE, require

# Multiplications per step, in all streams, from which `auto` uses a GPU: 15 streams of a 2 x 512
# LSTM. One core takes some milliseconds for them; a GPU takes some tenths of one to start its
# kernels and to copy the logits. This is an estimate, because charrnn has not run on a GPU yet.
GPU_PRODUCTS = 50_000_000
KEPT_MEMORY = 1 << 30  # bytes
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
# Several threads of a library would synchronize after each product, which takes microseconds, and
# wait for each other if another program needs a core. On two busy cores, 4 streams of a 2 x 128
# network wrote 500 characters per second with two threads and 23,600 with one; in torch 8 and 300.
_lock = threading.RLock()


def choose_device(device: str, products: float = math.inf) -> str:
    """Return cpu, cuda or mps. `auto` is a CUDA GPU, if there is one and enough work for it.

    Args:
        device: the option: auto, cpu, cuda or mps.
        products: multiplications per step, in all streams; by default enough for a GPU.

    Raises:
        InputError: torch cannot use this device here.
    """
    require(DEVICE.accepts(device), "device", device, DEVICE.requirement)
    if device == "cpu" or (device == "auto" and products < GPU_PRODUCTS):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    gpu = torch.backends.mps if device == "mps" else torch.cuda
    hint = "this machine has no such GPU that torch can use; leave the option out"
    require(gpu.is_available(), "device", device, hint)
    return device


@contextlib.contextmanager
def limit_blas_threads() -> Iterator[None]:
    """Limit NumPy's BLAS to one thread inside the context, which one thread enters at a time.

    The limit applies to the process.
    """
    with _lock:
        if hasattr(OpenBLASController, "clear_controlling_thread"):
            # Since version 3.8, threadpoolctl ignores all threads but the first that changed the
            # number and lives.
            OpenBLASController.clear_controlling_thread(force=True)
        with _get_controller().limit(limits=1, user_api="blas"):
            yield


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

    def use_one_core() -> None:
        torch.get_num_threads()  # The first use in a thread would replace a number set before it.
        torch.set_num_threads(1)

    pool = ThreadPoolExecutor(count, "charrnn-torch", initializer=use_one_core)
    started = threading.Barrier(count + 1)
    with _lock:
        before = torch.get_num_threads()
        for _ in range(count):
            pool.submit(started.wait)
        started.wait()
        torch.set_num_threads(before)  # the number with which new threads start
    return pool


os.register_at_fork(after_in_child=get_torch_pool.cache_clear)  # threads end at a fork


def keep_freed_memory() -> None:
    """Make this process keep up to 1 GB of freed memory for reuse.

    A training step frees about 20 MB of activations, and the next step allocates them again. glibc
    returns blocks of that size to the system, which must clear each page at its next use: 3,000 to
    5,000 page faults per step at 2 x 128, or a third of the step's time.

    The process never holds more memory than at its peak. Other C libraries are not changed.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT_MEMORY)
        # glibc before 2.38 accepts at most 32 MB.
        if not mallopt(_M_MMAP_THRESHOLD, KEPT_MEMORY):
            mallopt(_M_MMAP_THRESHOLD, KEPT_MEMORY >> 5)
