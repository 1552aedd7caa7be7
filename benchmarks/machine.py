"""What the machine is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path

import torch

from charrnn.training.bf16 import cpu_has_bf16

PACKAGES = ("torch", "lightning", "numpy", "numba")


@cache
def description() -> dict[str, str]:
    """Names and versions."""
    installed = {d.name: d.version for d in importlib.metadata.distributions()}
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores{_extensions()}",
        "system": f"{platform.system()} {platform.machine()}",
        "GPU": _gpu(),
        "Python": platform.python_version(),
        **{name: installed.get(name, "not installed") for name in PACKAGES},
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _extensions() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    return f" ({capability}{', bf16' if cpu_has_bf16() else ''})"


def _gpu() -> str:
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
