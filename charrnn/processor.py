"""What the processor can do, and what the C library does with memory that is freed.

A training step frees some 20 MB of activations and asks for as much again a moment later.
glibc hands freed memory of that size back to the system, which has to clear it, page by
page, when it is next touched: 3,000 to 5,000 page faults a step at 2 x 128, or a third of the
step. Which steps are hit depends on how the heap happens to lie.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
KEPT = 1 << 30  # bytes


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GB that it has freed, to use it again.

    It holds no more than it held at its peak. With another C library nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT)
        # before glibc 2.38 no more than 32 MB is taken
        if not mallopt(_M_MMAP_THRESHOLD, KEPT):
            mallopt(_M_MMAP_THRESHOLD, KEPT >> 5)


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 itself (AVX-512 BF16 or AMX)."""
    import torch

    # before torch 2.11 nothing public tells; float32 is the safe answer then
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) is True for name in ("avx512_bf16", "amx_bf16"))


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products in bf16 pay on a device: on a GPU, and on a CPU that has them."""
    return device.type == "cuda" or (device.type == "cpu" and cpu_has_bf16())
