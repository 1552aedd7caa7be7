"""Describe the machine and the versions of packages."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from charrnn.networks.precision import cpu_has_bf16

PACKAGES = ("torch", "lightning", "numpy")


@cache
def describe_machine() -> dict[str, str]:
    """Return the names of the hardware and the versions of the software."""
    extensions = torch.backends.cpu.get_cpu_capability() + (", bf16" if cpu_has_bf16() else "")
    return {
        "processor": f"{_name_processor()}, {os.cpu_count()} cores ({extensions})",
        "system": f"{platform.system()} {platform.machine()}",
        "GPU": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def describe_origin() -> str:
    """Return the commit and the machine, as marks in the pages name them (docs/marks.py)."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.check_output(words, cwd=Path(__file__).parent, text=True)
    return f"{commit.strip()} on {describe_machine()['processor']}"


def _name_processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
