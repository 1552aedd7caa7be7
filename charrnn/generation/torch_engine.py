"""The network stepped with torch: for large batches, or large networks, on a CUDA GPU.

It steps every cell and network, somebody's own too, on a CPU as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from charrnn.generation.library_threads import torch_threads
from charrnn.generation.numpy_engine import State
from charrnn.generation.token_sampler import Array, Floats, Ids, Params, TokenSampler
from charrnn.models.trained import Trained
from charrnn.networks.network import exact_float32
from charrnn.networks.network_ensemble import any_network_of


class TorchEngine:
    """Reads and writes as `NumpyEngine` does; safe to share between threads.

    Args:
        device: by default the first CUDA GPU, or the CPU where there is none.
    """

    def __init__(self, model: Trained, device: str | None = None) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._vocabulary = model.vocabulary
        self._network = any_network_of(model).eval().requires_grad_(False).to(self.device)

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """As `NumpyEngine.read`."""
        if ids.shape[1] == 0:
            return np.empty((len(ids), 0, len(self._vocabulary)), np.float32), state
        return torch_threads(1).submit(self._read, ids, state).result()

    def advance(self, ids: Ids, state: State) -> State:
        """As `NumpyEngine.advance`."""
        return self.read(ids, state)[1]

    def write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        params: Params,
        needed: Ids | None = None,
        texts: Sequence[Ids] | None = None,
    ) -> tuple[Ids, State]:
        """As `NumpyEngine.write`."""
        before = list(ids[:, None]) if texts is None else texts
        return torch_threads(1).submit(self._write, ids, state, uniforms, params, before).result()

    @torch.inference_mode()
    def _read(self, ids: Ids, state: State) -> tuple[Array, State]:
        with exact_float32():
            logits, carried = self._network(self._tensor(ids), self._tensors(state))
        return logits.cpu().numpy(), _arrays(carried)

    @torch.inference_mode()
    def _write(
        self, ids: Ids, state: State, uniforms: Floats, params: Params, before: Sequence[Ids]
    ) -> tuple[Ids, State]:
        carried, written = self._tensors(state), np.empty(uniforms.shape, np.int64)
        sampler = TokenSampler(params, self._vocabulary, before)
        with exact_float32():
            for t, each in enumerate(uniforms.T):
                logits, carried = self._network(self._tensor(ids[:, None]), carried)
                written[:, t] = ids = sampler.draw(logits[:, 0].cpu().numpy(), each)
        return written, _arrays(carried)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.device)

    def _tensors(self, state: State) -> list[tuple[Tensor, ...]]:
        return [tuple(self._tensor(v) for v in layer) for layer in state]


def _arrays(carried: list[tuple[Tensor, ...]]) -> State:
    return [tuple(v.cpu().numpy() for v in layer) for layer in carried]
