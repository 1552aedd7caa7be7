"""The network stepped with torch: for large batches, or large networks, on a CUDA GPU.

It steps every cell, and so also what the other engines have no kernel for, on a CPU as well.

The characters are chosen on the GPU too, so that a chunk runs without waiting for it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from charrnn.ensemble import any_network_of
from charrnn.generation.choosing import Choice, Floats, Ids, not_numbers
from charrnn.generation.state import State
from charrnn.generation.weights import Array
from charrnn.models.ensemble import Trained


class TorchEngine:
    """Writes as `NumpyEngine` does.

    Args:
        device: by default the first CUDA GPU, or the CPU where there is none.
    """

    def __init__(self, model: Trained, device: str | None = None) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        # TF32 would leave the other engines' text far sooner than rounding does
        torch.backends.cudnn.allow_tf32 = False
        self._vocabulary_size = len(model.vocabulary)
        self._network = any_network_of(model).eval().requires_grad_(False).to(self.device)

    @torch.inference_mode()
    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """As `NumpyEngine.read`."""
        if ids.shape[1] == 0:
            return np.empty((len(ids), 0, self._vocabulary_size), np.float32), state
        logits, carried = self._network(self._tensor(ids), self._tensors(state))
        return logits.cpu().numpy(), _arrays(carried)

    def advance(self, ids: Ids, state: State) -> State:
        """As `NumpyEngine.advance`."""
        return self.read(ids, state)[1]

    @torch.inference_mode()
    def write(self, ids: Ids, state: State, uniforms: Floats, choice: Choice) -> tuple[Ids, State]:
        """As `NumpyEngine.write`."""
        carried = self._tensors(state)
        last, draws = self._tensor(ids), self._tensor(uniforms)
        written = torch.empty(uniforms.shape, dtype=torch.int64, device=self.device)
        numbers = torch.tensor(True, device=self.device)
        for t in range(uniforms.shape[1]):
            logits, carried = self._network(last[:, None], carried)
            numbers &= logits.amax(-1).isfinite().all()
            last = choose(logits[:, 0], draws[:, t], choice)
            written[:, t] = last
        if not numbers.item():
            raise not_numbers()
        return written.cpu().numpy(), _arrays(carried)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.device)

    def _tensors(self, state: State) -> list[tuple[Tensor, ...]]:
        return [tuple(self._tensor(v) for v in layer) for layer in state]


def _arrays(carried: list[tuple[Tensor, ...]]) -> State:
    return [tuple(v.cpu().numpy() for v in layer) for layer in carried]


def choose(logits: Tensor, uniforms: Tensor, choice: Choice) -> Tensor:
    """The ids (N,) for logits (N, V) at uniforms (N,), as `choosing` defines them."""
    if choice.greedy:
        return logits.argmax(-1)
    scores = logits.double()
    weights = ((scores - scores.amax(-1, keepdim=True)) * choice.scale).exp()
    if choice.restricted:
        order = scores.sort(dim=-1, descending=True, stable=True).indices
        ranked = weights.gather(-1, order)
        if choice.top_k is not None:
            ranked[:, choice.top_k :] = 0
        if choice.top_p is not None:
            sums = ranked.cumsum(-1)
            reached = sums >= choice.top_p * sums[:, -1:]
            ranked[:, 1:].masked_fill_(reached[:, :-1], 0)
        weights = torch.zeros_like(weights).scatter_(-1, order, ranked)
    sums = weights.cumsum(-1)
    chosen = (sums <= uniforms[:, None] * sums[:, -1:]).sum(-1)
    return chosen.clamp(max=logits.shape[-1] - 1)  # a sum that is no number is told of later
