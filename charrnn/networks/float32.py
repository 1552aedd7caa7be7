"""Choose the precision in which a CUDA GPU computes with float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.backends import cuda, cudnn


@contextlib.contextmanager
def set_float32_precision(*, tf32: bool) -> Iterator[None]:
    """Let cuDNN's recurrent layers and cuBLAS compute in TF32 or in full precision.

    TF32 rounds the 23 bits of a float32's mantissa to 10. torch's settings are restored at the end
    of the context.
    """
    # The older flags cannot be read if a user has set `torch.backends.fp32_precision`.
    if hasattr(torch.backends, "fp32_precision"):  # since torch 2.9
        precision = "tf32" if tf32 else "ieee"
        # A setting inherits from the ones before it, until it is set itself.
        settings: tuple[Any, ...] = torch.backends, cudnn, cudnn.rnn, cuda.matmul
        changed = []
        for setting in settings:
            if (value := setting.fp32_precision) != precision:
                changed.append((setting, value))
                setting.fp32_precision = precision
        try:
            yield
        finally:
            for setting, value in reversed(changed):
                setting.fp32_precision = value
    else:
        flags = cudnn.allow_tf32, torch.get_float32_matmul_precision()
        cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        try:
            yield
        finally:
            cudnn.allow_tf32 = flags[0]
            torch.set_float32_matmul_precision(flags[1])
