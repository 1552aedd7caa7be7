"""The network stepped with torch: for large batches, or large networks, on a CUDA GPU.

It steps every cell, and so also what the other engines have no kernel for, on a CPU as well.

The characters are chosen on the GPU too, so that a chunk runs without waiting for it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from charrnn.ensemble import any_network_of
from charrnn.generation.choosing import Choices, Chosen, Floats, Ids, not_numbers
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
    def write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        chosen: Chosen,
        needed: Ids | None = None,
    ) -> tuple[Ids, State]:
        """As `NumpyEngine.write`."""
        carried = self._tensors(state)
        last, draws = self._tensor(ids), self._tensor(uniforms)
        chooser = TorchChooser(Choices(chosen, len(ids), self._vocabulary_size), self.device)
        written = torch.empty(uniforms.shape, dtype=torch.int64, device=self.device)
        numbers = torch.tensor(True, device=self.device)
        for t in range(uniforms.shape[1]):
            logits, carried = self._network(last[:, None], carried)
            numbers &= chooser.are_numbers(logits[:, 0])
            last = chooser.choose(logits[:, 0], draws[:, t])
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


class TorchChooser:
    """Chooses as `choosing.Chooser` does, without waiting for the device.

    What some stream asks for is computed for all; for the others it changes nothing.
    """

    def __init__(self, choices: Choices, device: str) -> None:
        def tensor(array: np.ndarray) -> Tensor:
            return torch.tensor(array, device=device)

        self._all_greedy = bool(choices.greedy.all())
        self._greedy = tensor(choices.greedy)
        self._scale = tensor(choices.scale)
        self._banned = tensor(choices.banned) if choices.banned.any() else None
        self._ranked = bool(choices.ranked.any())
        self._left_out = tensor(np.arange(choices.banned.shape[1]) >= choices.top_k)
        self._top_p = tensor(choices.top_p)
        self._min_p = tensor(choices.min_p) if choices.min_p.any() else None

    def are_numbers(self, logits: Tensor) -> Tensor:
        """Whether there is something to choose among logits (N, V) for every stream."""
        return self._allowed(logits).amax(-1).isfinite().all()

    def choose(self, logits: Tensor, uniforms: Tensor) -> Tensor:
        """The ids (N,) for logits (N, V) at uniforms (N,)."""
        logits = self._allowed(logits)
        likeliest = logits.argmax(-1)
        if self._all_greedy:
            return likeliest
        scores = logits.double()
        weights = ((scores - scores.amax(-1, keepdim=True)) * self._scale).exp()
        likely = None if self._min_p is None else weights >= self._min_p
        if self._ranked:
            order = scores.sort(dim=-1, descending=True, stable=True).indices
            ranked = weights.gather(-1, order).masked_fill_(self._left_out, 0)
            sums = ranked.cumsum(-1)
            reached = sums >= self._top_p * sums[:, -1:]
            ranked[:, 1:].masked_fill_(reached[:, :-1], 0)
            weights = torch.zeros_like(weights).scatter_(-1, order, ranked)
        if likely is not None:
            weights *= likely
        sums = weights.cumsum(-1)
        chosen = (sums <= uniforms[:, None] * sums[:, -1:]).sum(-1)
        chosen.clamp_(max=logits.shape[-1] - 1)  # a sum that is no number is told of later
        return torch.where(self._greedy, likeliest, chosen)

    def _allowed(self, logits: Tensor) -> Tensor:
        return logits if self._banned is None else logits.masked_fill(self._banned, -torch.inf)
