"""Train reproducibly on a CUDA GPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import lightning as L
import torch

from charrnn.networks.float32 import set_float32_precision
from charrnn.options.training import DecidedTrainer


@contextlib.contextmanager
def compute_reproducibly(trainer: DecidedTrainer) -> Iterator[None]:
    """Compute deterministically on a CUDA GPU, and use TF32 only if the precision says so.

    cuBLAS, which cuDNN's recurrent layers use, is deterministic only with a fixed workspace size,
    which it reads at the first use of the GPU. With TF32, which is on by default in cuDNN,
    `charrnn evaluate` on a CPU would get another loss. torch's settings are restored at the end.
    """
    if trainer.accelerator != "gpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        with set_float32_precision(tf32=trainer.precision == "tf32-true"):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


class ReproducibleSteps(L.Callback):
    """Computes reproducibly while a batch is trained.

    Lightning's set-up and the user's callbacks find torch's settings unchanged.
    """

    def __init__(self, trainer: DecidedTrainer) -> None:
        self.trainer = trainer
        self._settings = contextlib.ExitStack()

    def on_train_batch_start(self, *_: Any) -> None:
        self._settings.enter_context(compute_reproducibly(self.trainer))

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self._settings.close()

    on_exception = teardown = on_train_batch_end
