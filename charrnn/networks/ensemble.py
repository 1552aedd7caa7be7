"""Ensembles, and networks that are mixed with counts. Both are called like a network.

The logits of an ensemble are the logarithms of the weighted mean of its members' probabilities. Its
state is the members' layers, one member after the other. The logits of a mixture with counts are
its log-probabilities, and the last entry of its state is the counts' state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.mixing import Counts, CountState
from charrnn.models.trained import Trained, TrainedEnsemble, average_log_probs
from charrnn.networks.network import Network, State, make_network


class NetworkEnsemble(nn.Module):
    """Several networks. `shares`, the weights of the mean, sum to 1."""

    def __init__(self, networks: Sequence[Network], shares: Sequence[float]) -> None:
        super().__init__()
        self.log_shares = np.log(shares).astype(np.float32)
        self.members = nn.ModuleList(networks)
        self.architecture = networks[0].architecture
        self.sizes = [network.architecture.num_layers for network in networks]

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        log_probs, carried, first = [], [], 0
        for network, layers in zip(self.members, self.sizes, strict=True):
            before = None if state is None else state[first : first + layers]
            logits, after = network(ids, before)
            log_probs.append(F.log_softmax(logits.float(), -1).cpu().numpy())
            carried += after
            first += layers
        mean = torch.from_numpy(average_log_probs(log_probs, self.log_shares))
        return mean.to(ids.device), carried


class CountedNetwork(nn.Module):
    """A network or an ensemble, mixed with counts.

    The counts predict on the CPU. The network is not called if its weight is always 0.
    """

    def __init__(self, network: Network | NetworkEnsemble, counts: Counts) -> None:
        super().__init__()
        self.network = network
        self.counts = counts
        self.architecture = network.architecture

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before = self.counts.zero_state(len(ids))
        if state is not None:
            before = CountState(*(part.cpu().numpy() for part in state[-1]))
        states = self.counts.find_states(ids.cpu().numpy(), before)
        carried: State = [] if state is None else state[:-1]
        network_logits = None
        if self.counts.needs_network:
            logits, carried = self.network(ids, carried or None)
            network_logits = logits.float().cpu().numpy()
        mixed = torch.from_numpy(self.counts.mix(states, network_logits)).to(ids.device)
        after = tuple(torch.from_numpy(part[:, -1]).to(ids.device) for part in states)
        return F.log_softmax(mixed, -1), [*carried, after]


AnyNetwork = Network | NetworkEnsemble | CountedNetwork


def make_any_network(trained: Trained) -> AnyNetwork:
    """Return the network of a trained model or an ensemble, with its counts, on the CPU."""
    network: Network | NetworkEnsemble
    if isinstance(trained, TrainedEnsemble):
        network = NetworkEnsemble(list(map(make_network, trained.members)), trained.shares)
    else:
        network = make_network(trained)
    return network if trained.counts is None else CountedNetwork(network, trained.counts)
