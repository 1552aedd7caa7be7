"""The network stepped with torch: for large batches, or large networks, on a CUDA GPU.

It steps every cell and network, somebody's own too, on a CPU as well. On a GPU the characters are
drawn there, so that a chunk runs without waiting for it, unless DRY is asked for, which is NumPy's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from charrnn.cpu import torch_worker
from charrnn.errors import non_finite_scores
from charrnn.generation.numpy_engine import State
from charrnn.generation.token_sampler import (
    Array,
    Batch,
    Floats,
    Ids,
    Params,
    TokenSampler,
    top_k_and_p,
)
from charrnn.models.trained import Trained
from charrnn.network import exact_float32
from charrnn.network_ensemble import any_network_of


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
        return torch_worker().submit(self._read, ids, state).result()

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
        return torch_worker().submit(self._write, ids, state, uniforms, params, before).result()

    @torch.inference_mode()
    def _read(self, ids: Ids, state: State) -> tuple[Array, State]:
        with exact_float32():
            logits, carried = self._network(self._tensor(ids), self._tensors(state))
        return logits.cpu().numpy(), _arrays(carried)

    @torch.inference_mode()
    def _write(
        self, ids: Ids, state: State, uniforms: Floats, params: Params, before: Sequence[Ids]
    ) -> tuple[Ids, State]:
        carried, written = self._tensors(state), list[Tensor]()
        last, draws = self._tensor(ids), self._tensor(uniforms)
        batch = Batch(params, len(ids), self._vocabulary)
        on_device = self.device != "cpu" and not batch.penalized
        sampler = TorchTokenSampler(batch, self.device) if on_device else None
        numpy = TokenSampler(params, self._vocabulary, before)
        with exact_float32():
            for t in range(uniforms.shape[1]):
                logits, carried = self._network(last[:, None], carried)
                if sampler is None:
                    last = self._tensor(numpy.draw(logits[:, 0].cpu().numpy(), uniforms[:, t]))
                else:
                    last = sampler.draw(logits[:, 0], draws[:, t])
                written.append(last)
        if sampler is not None and not sampler.numbers.item():
            raise non_finite_scores()
        return torch.stack(written, 1).cpu().numpy(), _arrays(carried)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.device)

    def _tensors(self, state: State) -> list[tuple[Tensor, ...]]:
        return [tuple(self._tensor(v) for v in layer) for layer in state]


def _arrays(carried: list[tuple[Tensor, ...]]) -> State:
    return [tuple(v.cpu().numpy() for v in layer) for layer in carried]


class TorchTokenSampler:
    """Draws on a device as `TokenSampler` does, without waiting for it.

    What some stream asks for is computed for all; for the others it changes nothing.

    Attributes:
        numbers: whether there was something to choose among each time.
    """

    def __init__(self, batch: Batch, device: str) -> None:
        def tensor(array: np.ndarray) -> Tensor:
            return torch.tensor(array, device=device)

        self.numbers = tensor(np.array(True))
        self._greedy, self._scale = tensor(batch.greedy), tensor(batch.scale)
        self._bias = None if batch.bias is None else tensor(batch.bias)
        self._ranks, limits = batch.ranks, tensor(batch.limits)
        self._top_k, self._top_p, self._min_p = limits.split(1, -1)

    def draw(self, logits: Tensor, uniforms: Tensor) -> Tensor:
        """The ids (N,) for logits (N, V) at uniforms (N,)."""
        scores = (logits if self._bias is None else logits + self._bias).double()
        self.numbers &= scores.amax(-1).isfinite().all()
        return torch.where(self._greedy, scores.argmax(-1), self._drawn(scores, uniforms))

    def _drawn(self, scores: Tensor, uniforms: Tensor) -> Tensor:
        weights = ((scores - scores.amax(-1, keepdim=True)) * self._scale).exp()
        if self._ranks:
            order = scores.sort(dim=-1, descending=True, stable=True).indices
            ranked = top_k_and_p(weights.gather(-1, order), self._top_k, self._top_p)
            weights = torch.zeros_like(weights).scatter_(-1, order, ranked)
        weights = weights * (weights >= self._min_p)
        sums = weights.cumsum(-1)
        drawn = (sums <= uniforms[:, None] * sums[:, -1:]).sum(-1)
        return drawn.clamp_(max=scores.shape[-1] - 1)  # a sum that is no number is told of later
