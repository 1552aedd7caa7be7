"""Choose the device on which a network scores or writes, and print it."""

from __future__ import annotations

import math

from charrnn.options.ranges import require
from charrnn.options.sampling import DEVICE
from charrnn.say import say

# Multiplications per step, in all streams, from which `auto` uses a GPU: 15 streams of a 2 x 512
# LSTM. One core takes some milliseconds for them; a GPU takes some tenths of one to start its
# kernels and to copy the logits. This is an estimate, because charrnn has not run on a GPU yet.
GPU_PRODUCTS = 50_000_000


def choose_device(device: str, products: float = math.inf) -> str:
    """Return cpu, cuda or mps. `auto` is a CUDA GPU, if there is one and enough work for it.

    Args:
        device: the option: auto, cpu, cuda or mps.
        products: multiplications per step, in all streams; by default enough for a GPU.

    Raises:
        InputError: torch cannot use this device here.
    """
    require(DEVICE.accepts(device), "device", device, DEVICE.requirement)
    if device == "cpu" or (device == "auto" and products < GPU_PRODUCTS):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    gpu = torch.backends.mps if device == "mps" else torch.cuda
    hint = "this machine has no such GPU that torch can use; leave the option out"
    require(gpu.is_available(), "device", device, hint)
    return device


def print_device(device: str, option: str) -> None:
    """Print the name of the device that was chosen for the option, except for auto on a CPU."""
    if device == "cuda":
        import torch

        say(f"device: {torch.cuda.get_device_name()}")
    elif option != "auto":
        say("device: Apple GPU" if device == "mps" else "device: CPU")
