"""Whether a device multiplies bf16 faster than float32."""

from __future__ import annotations

import torch


def cpu_has_bf16() -> bool:
    """Return whether the CPU has instructions for products in bf16 (AVX-512 BF16 or AMX)."""
    # before torch 2.11 nothing public tells; float32 is the safe answer then
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) is True for name in ("avx512_bf16", "amx_bf16"))


def device_has_bf16(device: torch.device) -> bool:
    """Return whether products in bf16 pay on a device: on a GPU, and on a CPU that has them."""
    return device.type == "cuda" or (device.type == "cpu" and cpu_has_bf16())
