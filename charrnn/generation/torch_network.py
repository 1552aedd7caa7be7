"""The step of a network in torch: on any device, and for all cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from charrnn.generation.numpy_network import Array, Ids, Step
from charrnn.generation.processors import get_torch_pool
from charrnn.models.trained import State, Trained
from charrnn.networks.ensemble import join_networks
from charrnn.networks.precision import set_float32_precision


def make_torch_step(model: Trained, device: str) -> Step:
    """Return the step of the network, or of an ensemble, without its counts.

    The state stays on the device. The logits of all streams are copied to the CPU at once.
    """
    network = join_networks(model).eval().requires_grad_(False).to(device)

    def step(ids: Ids, state: State, needs_logits: bool = True) -> tuple[Array | None, State]:
        # A single stream gets its first axis back.
        N = ids.size
        characters = torch.as_tensor(ids.reshape(N, 1), device=device)
        layers = [
            tuple(torch.as_tensor(vectors, device=device).reshape(N, -1) for vectors in layer)
            for layer in state
        ]
        logits, layers = network(characters, layers)
        if not needs_logits:
            return None, layers
        return logits.cpu().numpy().reshape(*ids.shape, -1), layers

    return step


def call_in_torch_thread(method: Callable[..., State], *arguments: Any) -> State:
    """Call a method in a thread in which torch uses one core. Return its state as arrays."""

    def call() -> State:
        with torch.inference_mode(), set_float32_precision(tf32=False):
            return method(*arguments)

    state = get_torch_pool(1).submit(call).result()
    return [
        tuple(v.cpu().numpy() if isinstance(v, Tensor) else v for v in layer) for layer in state
    ]
