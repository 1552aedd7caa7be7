"""The network (embedding -> recurrent layers -> decoder), alone or mixed with counts.

    ids (N, T) -> (N, T, D) -> layer (N, T, H) -> [norm] -> dropout -> ... -> logits (N, T, V)

With ``skip=sum`` the decoder reads the sum of all layers' outputs, after dropout on each output but
the last and on the sum.

Each layer is a module with one layer (nn.LSTM, nn.GRU, ...; see `charrnn.options.cells`), followed
by dropout. The dropout of a module with several layers has a random state in cuDNN, which a
checkpoint cannot restore. Like in torch-rnn, dropout also follows the last layer, and each layer
has one bias: PyTorch's second bias (``bias_hh``) is frozen at zero and not counted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.mixing import Counts
from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel

BATCHNORM_MOMENTUM = 0.1  # the default of PyTorch and torch-rnn

# The carried tensors (N, H) of each layer
State = list[tuple[Tensor, ...]]


class Network(nn.Module):
    """A character-level recurrent language model.

    Call it with ids (N, T) and a state, or None for the zero state. It returns the logits (N, T, V)
    of the next characters and the state after the last one. Dropout draws from `generator`, or from
    torch's global generator.
    """

    def __init__(self, architecture: Architecture, initialize: bool = True) -> None:
        super().__init__()
        a = self.architecture = architecture
        sizes = [a.embedding_size] + [a.hidden_size] * a.num_layers
        self.embedding = nn.Embedding(a.vocabulary_size, a.embedding_size)
        self.recurrent = nn.ModuleList(a.cell.layer(size, a.hidden_size) for size in sizes[:-1])
        if a.batchnorm:
            self.norms = nn.ModuleList(BatchNorm(a.hidden_size) for _ in range(a.num_layers))
        self.dropout = Dropout(a.dropout)
        self.decoder = nn.Linear(a.hidden_size, a.vocabulary_size)
        if initialize:
            self.initialize()

    def initialize(self) -> None:
        """Set torch-rnn's initial weights, drawn from torch's global generator."""
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
        self, ids: Tensor, state: State | None = None, generator: torch.Generator | None = None
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


def _to_module(layer_state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """Convert tensors (N, H) to the (1, N, H) that PyTorch's modules take."""
    tensors = tuple(t.unsqueeze(0) for t in layer_state)
    return tensors if len(tensors) > 1 else tensors[0]


def _from_module(carried: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    tensors = carried if isinstance(carried, tuple) else (carried,)
    return tuple(t.squeeze(0) for t in tensors)


class Dropout(nn.Dropout):
    """Dropout that, on a CPU, can draw from a given generator.

    There each random integer gives four numbers of 16 bits, in a fifth of bernoulli_'s time.
    """

    def forward(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if not self.training or not self.p or hidden.device.type != "cpu":
            return super().forward(hidden)
        count, keep = hidden.numel(), 1 - self.p
        integers = torch.empty(-(-count // 4), dtype=torch.int64)
        integers.random_(-(2**63), None, generator=generator)
        numbers = integers.view(torch.int16)[:count].view(hidden.shape)  # from -2^15 on
        mask = numbers <= round(keep * 2**16) - 1 - 2**15
        return hidden * mask.to(hidden.dtype).div_(keep)


class BatchNorm(nn.Module):
    """Batch normalization over the N * T vectors of a window, like in torch-rnn.

    Unlike nn.BatchNorm1d, it does not count the batches.
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


def detach_state(state: Iterable[tuple[Tensor, ...]]) -> State:
    """Return the state without its gradient history."""
    return [tuple(part.detach() for part in layer) for layer in state]


def make_network(trained: TrainedModel) -> Network:
    """Return the network of a trained model, on the CPU."""
    with torch.random.fork_rng(devices=[]):  # torch's modules draw initial weights.
        network = Network(trained.architecture, initialize=False)
    weights = {name: torch.tensor(w) for name, w in trained.weights.items()}
    network.load_state_dict(weights, assign=True)
    return network


def copy_weights(network: Network) -> dict[str, npt.NDArray[np.float32]]:
    """Return copies of the weights for a `TrainedModel`."""
    weights = network.state_dict()
    return {
        name: weights[name].to("cpu", torch.float32).numpy().copy()
        for name in network.architecture.shapes()
    }


class CountedNetwork(nn.Module):
    """A network that is mixed with counts, which is called like a network.

    Its logits are log-probabilities, and the last entry of its state is the counts' state. The
    counts predict on the CPU. The network is not called if its weight is always 0.
    """

    def __init__(self, network: Network, counts: Counts) -> None:
        super().__init__()
        self.network = network
        self.counts = counts
        self.architecture = network.architecture

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return log-probabilities (N, T, V), and the network's state with that of the counts."""
        layers: State = []
        before = self.counts.zero_state(len(ids))
        if state is not None:
            *layers, (counts_state,) = state
            before = counts_state.cpu().numpy()
        states = self.counts.find_states(ids.cpu().numpy(), before)
        network_logits = None
        if self.counts.needs_network:
            logits, layers = self.network(ids, layers or None)
            network_logits = logits.float().cpu().numpy()
        mixed = torch.from_numpy(self.counts.mix(states, network_logits)).to(ids.device)
        after = torch.from_numpy(states[:, -1]).to(ids.device)
        return F.log_softmax(mixed, -1), [*layers, (after,)]


AnyNetwork = Network | CountedNetwork


def make_any_network(model: TrainedModel) -> AnyNetwork:
    """Return the network of a trained model, with its counts, on the CPU."""
    network = make_network(model)
    return network if model.counts is None else CountedNetwork(network, model.counts)
