"""Check whether a device multiplies bf16 faster than float32."""

from __future__ import annotations

import torch


def cpu_has_bf16() -> bool:
    """Return whether the CPU has instructions for products in bf16 (AVX-512 BF16 or AMX)."""
    # torch before 2.11 has no public function for it; the safe answer is False.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) is True for name in ("avx512_bf16", "amx_bf16"))


def device_has_bf16(device: torch.device) -> bool:
    """Return whether a device is a GPU, or a CPU with instructions for products in bf16."""
    return device.type == "cuda" or (device.type == "cpu" and cpu_has_bf16())
