"""What the machine is, and what it can do at most.

The ceilings are the best of several tries with the fastest library that torch or NumPy has
for it: what any program could reach, not what a typical call does.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import psutil

from benchmarks.measuring import Effort, wait_until_calm

PACKAGES = ("torch", "lightning", "numpy", "numba")


@cache
def description() -> dict[str, str]:
    """Names and versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores{_extensions()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "GPU": _gpu(),
        "Python": platform.python_version(),
        **versions,
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
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    names = {"avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16"}
    found = [name for flag, name in names.items() if f" {flag} " in flags]
    return f" ({', '.join(found)})" if found else ""


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """What the machine can do at most.

    Attributes:
        float32, bf16: operations a second of a matrix product on all cores.
        float32_one: the same in float32 on one core.
        cache: bytes a second that one core reads of 1 MB again and again.
        memory: bytes a second that all cores read of more than the caches hold.
    """

    float32: float
    bf16: float
    float32_one: float
    cache: float
    memory: float


def ceilings(effort: Effort) -> Ceilings:
    """Measure them; takes seconds."""
    import torch

    wait_until_calm(effort.patience)
    tries = effort.size(40, least=3)
    size = 1024 if effort.scale > 0.01 else 128
    threads = torch.get_num_threads()
    float32 = max(_product(size, torch.float32, tries), _linear(size, tries))
    bf16 = _product(size, torch.bfloat16, tries)
    torch.set_num_threads(1)
    try:
        float32_one = max(_product(size, torch.float32, tries), _linear(size, tries))
        cache_rate = _read_rate(1 << 20, tries * 20)
    finally:
        torch.set_num_threads(threads)
    return Ceilings(float32, bf16, float32_one, cache_rate, _read_rate(1 << 29, min(tries, 8)))


def _best(call: Callable[[], object], tries: int) -> float:
    """The shortest time of several."""
    call()
    best = float("inf")
    for _ in range(tries):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


def _product(size: int, dtype: object, tries: int) -> float:
    import torch

    a = torch.ones(size, size, dtype=dtype)  # type: ignore[call-overload]
    out = torch.empty_like(a)
    return float(2 * size**3 / _best(lambda: torch.mm(a, a, out=out), tries))


def _linear(size: int, tries: int) -> float:
    """The product in float32 by oneDNN, which some processors run faster than torch's own."""
    import torch

    if not torch.backends.mkldnn.is_available():
        return 0.0
    a = torch.ones(size, size).to_mkldnn()
    return 2 * size**3 / _best(lambda: torch.nn.functional.linear(a, a), tries)


def _read_rate(size: int, tries: int) -> float:
    """Bytes a second of a product with one vector, which reads its matrix once."""
    rows = size // (4 * 512)
    matrix = np.ones((512, rows), np.float32)
    vector = np.ones(rows, np.float32)
    out = np.empty(512, np.float32)
    by_product = _best(lambda: np.matmul(matrix, vector, out), tries)
    by_sum = _best(lambda: matrix.sum(), tries)
    return size / min(by_product, by_sum)
