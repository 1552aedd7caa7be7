"""The network: embedding -> recurrent layers -> decoder.

    ids (N, T) -> (N, T, D) -> layer (N, T, H) -> [norm] -> dropout -> ... -> logits (N, T, V)

The layers are single nn.LSTM, nn.GRU or nn.RNN modules with dropout after each, rather
than one deep module: cuDNN's own dropout keeps a random state outside torch's, and then
no resume could be exact. torch-rnn drops after the last layer too, and has one bias a
layer: PyTorch's second (``bias_hh``) is frozen at zero and not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from charrnn.modelfile import Architecture, TrainedModel

_MODULES: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
FORGET_GATE = 1  # PyTorch's order of an LSTM's gates is i, f, g, o

# For each layer the tensors that it carries, each (N, H): h and c for lstm, h for gru and rnn
State = list[tuple[Tensor, ...]]


class Network(nn.Module):
    """A character-level recurrent language model.

    Call it with ids (N, T) and a state, or None for the zero state; it returns the
    logits (N, T, V) of the next characters and the state after the last one. Dropout draws
    from `generator`, without one from torch's global random numbers.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        sizes = [a.embedding_size] + [a.hidden_size] * a.num_layers
        self.embedding = nn.Embedding(a.vocabulary_size, a.embedding_size)
        self.recurrent = nn.ModuleList(
            _MODULES[a.kind](size, a.hidden_size, batch_first=True) for size in sizes[:-1]
        )
        if a.batchnorm:
            self.norms = nn.ModuleList(_BatchNorm(a.hidden_size) for _ in range(a.num_layers))
        self.dropout = _Dropout(a.dropout)
        self.decoder = nn.Linear(a.hidden_size, a.vocabulary_size)
        self.initialize()

    def initialize(self) -> None:
        """torch-rnn's initial weights, from torch's global random numbers."""
        nn.init.normal_(self.embedding.weight)
        for layer in self.recurrent:
            assert isinstance(layer, nn.RNNBase)
            H = layer.hidden_size
            for name, parameter in layer.named_parameters():
                if name.startswith("weight"):
                    nn.init.normal_(parameter, std=1 / math.sqrt(layer.input_size + H))
                else:
                    nn.init.zeros_(parameter)
            layer.get_parameter("bias_hh_l0").requires_grad_(False)
            if isinstance(layer, nn.LSTM):
                bias = layer.get_parameter("bias_ih_l0")
                nn.init.ones_(bias.data[FORGET_GATE * H : (FORGET_GATE + 1) * H])
        bound = 1 / math.sqrt(self.decoder.in_features)
        nn.init.uniform_(self.decoder.weight, -bound, bound)
        nn.init.uniform_(self.decoder.bias, -bound, bound)

    def forward(
        self,
        ids: Tensor,
        state: State | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        hidden = self.embedding(ids)  # (N, T, D)
        next_state: State = []
        for i, layer in enumerate(self.recurrent):
            carried = None if state is None else _to_module(state[i])
            hidden, carried = layer(hidden, carried)  # (N, T, H)
            next_state.append(_from_module(carried))
            if self.architecture.batchnorm:
                hidden = self.norms[i](hidden)
            hidden = self.dropout(hidden, generator)
        return self.decoder(hidden), next_state

    def num_parameters(self) -> int:
        """Trained numbers, as torch-rnn counts them."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def _to_module(layer_state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """(N, H) tensors as the (1, N, H) that PyTorch's modules take."""
    stacked = tuple(s.unsqueeze(0) for s in layer_state)
    return stacked if len(stacked) > 1 else stacked[0]


def _from_module(carried: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    tensors = carried if isinstance(carried, tuple) else (carried,)
    return tuple(t.squeeze(0) for t in tensors)


class _Dropout(nn.Dropout):
    """Dropout that may draw from a generator of its own."""

    def forward(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None or not self.training or not self.p:
            return super().forward(hidden)
        kept = torch.empty_like(hidden).bernoulli_(1 - self.p, generator=generator)
        return hidden * kept / (1 - self.p)


class _BatchNorm(nn.BatchNorm1d):
    """Batch normalization over the N * T vectors of a window, as torch-rnn applies it."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.num_batches_tracked = None  # only its momentum=None mode needs the count

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden.flatten(0, 1)).view_as(hidden)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        # a plain dict of weights has no module versions, and is then taken for an old one
        # to which the missing count has to be added
        versioned = {**local_metadata, "version": self._version}
        super()._load_from_state_dict(state_dict, prefix, versioned, *rest)


def joined(states: Sequence[State]) -> State:
    """The state of all streams from those of neighbouring ones."""
    return [
        tuple(torch.cat(parts) for parts in zip(*layers, strict=True))
        for layers in zip(*states, strict=True)
    ]


def streams_of(state: State, rows: slice) -> State:
    """The state of some streams, as views."""
    return [tuple(part[rows] for part in layer) for layer in state]


def network_of(trained: TrainedModel) -> Network:
    """The network of a trained model, on the CPU."""
    with torch.random.fork_rng(devices=[]):  # the initial weights are replaced at once
        network = Network(trained.architecture)
    network.load_state_dict({name: torch.tensor(w) for name, w in trained.weights.items()})
    return network


def weights_of(network: Network) -> dict[str, npt.NDArray[np.float32]]:
    """Copies of a network's weights, as a `TrainedModel` holds them."""
    return {
        name: weight.detach().to("cpu", torch.float32).numpy().copy()
        for name, weight in network.state_dict().items()
    }
