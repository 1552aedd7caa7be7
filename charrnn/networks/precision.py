"""Set the precision of float32 on a CUDA GPU, and detect bf16."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch.backends import cuda, cudnn

from charrnn.models.trained import Architecture
from charrnn.networks.network import Network


@contextlib.contextmanager
def set_float32_precision(*, tf32: bool) -> Iterator[None]:
    """Set whether cuDNN's recurrent layers and cuBLAS compute in TF32 or in full precision.

    TF32 rounds the 23 bits of a float32's mantissa to 10. torch's settings are restored at the end
    of the context.
    """
    name: str = "allow_tf32"
    value: bool | str = tf32
    places: list[Any] = [cudnn, cuda.matmul]
    if hasattr(torch.backends, "fp32_precision"):  # since torch 2.9; the older names may fail
        name, value = "fp32_precision", "tf32" if tf32 else "ieee"
        # Each place inherits from the ones before it, until it is set itself.
        places = [torch.backends, cudnn, cudnn.rnn, cuda.matmul]
    changed = []
    for place in places:
        if (before := getattr(place, name)) != value:
            changed.append((place, before))
            setattr(place, name, value)
    try:
        yield
    finally:
        for place, before in reversed(changed):
            setattr(place, name, before)


def cpu_has_bf16() -> bool:
    """Return whether the CPU has instructions for products in bf16 (AVX-512 BF16 or AMX)."""
    # torch before 2.11 has no public function for it; the safe answer is False.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) is True for name in ("avx512_bf16", "amx_bf16"))


@functools.cache
def can_train_in_bf16(kind: str, device_type: str) -> bool:
    """Return whether a cell computes in bf16 under autocast on a device, by training one step.

    Without AVX-512, oneDNN has no bf16 kernel for an LSTM and raises. Under autocast, cuDNN's
    layers always get float16 (aten/src/ATen/cudnn/AutocastRNN.cpp), and their gradients vanish
    without a GradScaler.
    """
    architecture = Architecture(kind, hidden_size=8, num_layers=1, vocabulary_size=8)
    device = torch.device(device_type)
    with torch.random.fork_rng(devices=[]):
        network = Network(architecture).to(device)
        ids = torch.zeros(2, 3, dtype=torch.int64, device=device)
        try:
            with torch.autocast(device_type, dtype=torch.bfloat16):
                logits, state = network(ids)
            logits.float().sum().backward()
        except RuntimeError:
            return False
    return all(part.dtype != torch.float16 for layer in state for part in layer)
