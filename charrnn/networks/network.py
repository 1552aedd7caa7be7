"""The network: embedding -> recurrent layers -> decoder.

    ids (N, T) -> (N, T, D) -> layer (N, T, H) -> [norm] -> dropout -> ... -> logits (N, T, V)

With ``skip=sum`` the decoder reads the sum of all layers' outputs, each dropped before it is
added, the last one's with the sum.

The layers are single modules (nn.LSTM, nn.GRU, ...; see `charrnn.options.cells`) with dropout
after each, rather than one deep module: cuDNN's own dropout keeps a random state outside torch's,
and then no resume could be exact. torch-rnn drops after the last layer too, and has one bias
a layer: PyTorch's second (``bias_hh``) is frozen at zero and not counted.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel

BATCHNORM_MOMENTUM = 0.1  # PyTorch's default, and torch-rnn's

# For each layer the tensors that its cell carries, each (N, H)
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
        self.recurrent = nn.ModuleList(a.cell.layer(size, a.hidden_size) for size in sizes[:-1])
        if a.batchnorm:
            self.norms = nn.ModuleList(BatchNorm(a.hidden_size) for _ in range(a.num_layers))
        self.dropout = Dropout(a.dropout)
        self.decoder = nn.Linear(a.hidden_size, a.vocabulary_size)
        self.initialize()

    def initialize(self) -> None:
        """torch-rnn's initial weights, from torch's global random numbers."""
        a = self.architecture
        nn.init.normal_(self.embedding.weight)
        for i, layer in enumerate(self.recurrent):
            fan_in = a.hidden_size if i else a.embedding_size
            fan_in += a.hidden_size if a.cell.recurrent else 0
            for name, parameter in layer.named_parameters():
                if name.startswith("weight"):
                    nn.init.normal_(parameter, std=1 / math.sqrt(fan_in))
                else:
                    nn.init.zeros_(parameter)
            if a.cell.recurrent:  # torch-rnn has one bias a layer
                layer.get_parameter("bias_hh_l0").requires_grad_(False)
            bias = layer.get_parameter("bias_ih_l0").detach()
            for gate, value in a.cell.initial_biases.items():
                nn.init.constant_(bias[a.cell.rows(gate, a.hidden_size)], value)
        bound = 1 / math.sqrt(self.decoder.in_features)
        nn.init.uniform_(self.decoder.weight, -bound, bound)
        nn.init.uniform_(self.decoder.bias, -bound, bound)

    def forward(
        self,
        ids: Tensor,
        state: State | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        a = self.architecture
        hidden = self.embedding(ids)  # (N, T, D)
        outputs: list[Tensor] = []
        next_state: State = []
        for i, layer in enumerate(self.recurrent):
            if outputs:
                hidden = outputs[-1] = self.dropout(hidden, generator)
            hidden, carried = layer(hidden, None if state is None else _to_module(state[i]))
            next_state.append(_from_module(carried))
            if a.batchnorm:
                hidden = self.norms[i](hidden)
            outputs.append(hidden)  # (N, T, H)
        if a.skip == "sum":
            hidden = functools.reduce(torch.add, outputs)
        return self.decoder(self.dropout(hidden, generator)), next_state

    @property
    def draws(self) -> bool:
        """Whether a training step draws random numbers."""
        return self.architecture.dropout > 0


def num_parameters(network: nn.Module) -> int:
    """Trained numbers, as torch-rnn counts them."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _to_module(layer_state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """(N, H) tensors as the (1, N, H) that PyTorch's modules take."""
    stacked = tuple(s.unsqueeze(0) for s in layer_state)
    return stacked if len(stacked) > 1 else stacked[0]


def _from_module(carried: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    tensors = carried if isinstance(carried, tuple) else (carried,)
    return tuple(t.squeeze(0) for t in tensors)


class Dropout(nn.Dropout):
    """Dropout that may draw from a generator of its own.

    What is kept is scaled up, so that the mean stays. A CPU draws four numbers of 16 bits at once,
    in a fifth of the time that bernoulli_ takes.
    """

    def forward(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if not self.training or not self.p:
            return hidden
        if hidden.device.type == "cpu":
            count, keep = hidden.numel(), 1 - self.p
            drawn = torch.empty(-(-count // 4), dtype=torch.int64)
            drawn.random_(-(2**63), None, generator=generator)
            numbers = drawn.view(torch.int16)[:count].view(hidden.shape)  # from -2^15 on
            kept = numbers <= round(keep * 2**16) - 1 - 2**15
            return hidden * kept.to(hidden.dtype).div_(keep)
        if generator is None:
            return super().forward(hidden)
        kept = torch.empty_like(hidden).bernoulli_(1 - self.p, generator=generator)
        return hidden * kept.div_(1 - self.p)


class BatchNorm(nn.Module):
    """Batch normalization over the N * T vectors of a window, as torch-rnn applies it.

    It has what nn.BatchNorm1d has but the count of batches, which nothing here needs.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self.register_buffer("running_mean", torch.zeros(hidden_size))
        self.register_buffer("running_var", torch.ones(hidden_size))

    def forward(self, hidden: Tensor) -> Tensor:
        normalized = F.batch_norm(
            hidden.flatten(0, 1), self.running_mean, self.running_var, self.weight, self.bias,
            self.training, BATCHNORM_MOMENTUM, BATCHNORM_EPS,
        )  # fmt: skip
        return normalized.view_as(hidden)


def concat_states(states: Sequence[State]) -> State:
    """The state of all streams from those of neighbouring ones."""
    return [
        tuple(torch.cat(parts) for parts in zip(*layers, strict=True))
        for layers in zip(*states, strict=True)
    ]


def state_rows(state: State, rows: slice) -> State:
    """The state of some streams, as views."""
    return [tuple(part[rows] for part in layer) for layer in state]


def detach_state(state: Iterable[tuple[Tensor, ...]]) -> State:
    """The state of layers, through which no gradient flows back."""
    return [tuple(part.detach() for part in layer) for layer in state]


def exact_float32() -> AbstractContextManager[Any]:
    """cuDNN without TF32, which keeps 10 of 23 bits."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=True, deterministic=cudnn.deterministic, allow_tf32=False)


def network_of(trained: TrainedModel) -> Network:
    """The network of a trained model, on the CPU."""
    with torch.random.fork_rng(devices=[]):  # the initial weights are replaced at once
        network = Network(trained.architecture)
    network.load_state_dict({name: torch.tensor(w) for name, w in trained.weights.items()})
    return network


def weights_of(network: Network) -> dict[str, npt.NDArray[np.float32]]:
    """Copies of a network's weights, as a `TrainedModel` holds them.

    Those that are parametrized (`torch.nn.utils.parametrize`) are what they compute.
    """
    return {
        name: operator.attrgetter(name)(network).detach().to("cpu", torch.float32).numpy().copy()
        for name in network.architecture.shapes()
    }
