"""Use the threads and the precision of the config, and make the steps on a GPU reproducible."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import lightning as L
import torch

from charrnn.networks.precision import set_float32_precision
from charrnn.options.ranges import check_ranges
from charrnn.options.training import PartOptions


@contextlib.contextmanager
def compute_reproducibly(threads: int, num_batch_shards: int, tf32: bool) -> Iterator[None]:
    """Compute with CPU threads that the shards of a batch divide, and reproducibly on a CUDA GPU.

    cuBLAS, which cuDNN's recurrent layers use, is deterministic only with a fixed workspace size,
    which it reads at the first use of the GPU. With TF32, which is on by default in cuDNN,
    `charrnn evaluate` on a CPU would get another loss. torch's settings are restored at the end,
    because the next run of a sweep decides anew.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn, num_threads = torch.backends.cudnn, torch.get_num_threads()
    before = cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(max(1, threads // num_batch_shards))
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        with set_float32_precision(tf32=tf32):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        torch.set_num_threads(num_threads)


class ReproducibleSteps(L.Callback):
    """Trains with a number of CPU threads, and computes reproducibly on a GPU.

    Args:
        threads: CPU threads, which the shards of a batch divide; None: torch's number.
        tf32: on a CUDA GPU, compute float32 products in TF32.
    """

    def __init__(self, threads: int | None = None, tf32: bool | None = None) -> None:
        check_ranges(PartOptions, threads=threads)
        self.threads, self.tf32 = threads, bool(tf32)
        self._settings = contextlib.ExitStack()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        threads = self.threads or torch.get_num_threads()
        shards = getattr(pl_module, "num_batch_shards", 1)
        self._settings.enter_context(compute_reproducibly(threads, shards, self.tf32))

    def teardown(self, *_: Any, **__: Any) -> None:
        self._settings.close()

    on_exception = teardown
