"""Where a processor multiplies 16-bit floating-point numbers itself."""

from __future__ import annotations

import torch


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 itself (AVX-512 BF16 or AMX)."""
    # before torch 2.11 nothing public tells; float32 is the safe answer then
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) is True for name in ("avx512_bf16", "amx_bf16"))


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products in bf16 pay on a device: on a GPU, and on a CPU that has them."""
    return device.type == "cuda" or (device.type == "cpu" and cpu_has_bf16())
