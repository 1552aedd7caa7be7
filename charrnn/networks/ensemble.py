"""Ensembles, and networks that are mixed with counts. Both are called like a network.

The logits of an ensemble are the logarithms of the weighted mean of its members' probabilities. Its
state is the members' layers, one member after the other. The logits of a mixture with counts are
its log-probabilities, and the last entry of its state is the nodes (N, K) of the table's contexts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.mixing import Counts
from charrnn.models.trained import Trained, TrainedEnsemble
from charrnn.networks.network import Network, State, make_network


class NetworkEnsemble(nn.Module):
    """Several networks with the same vocabulary, always in evaluation mode.

    Args:
        shares: the weights of the mean, which sum to 1.

    Attributes:
        architecture: of the first member.
    """

    log_shares: Tensor

    def __init__(self, networks: Sequence[Network], shares: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("log_shares", torch.tensor(shares).log(), persistent=False)
        self.members = nn.ModuleList(networks)
        self.architecture = networks[0].architecture
        self.sizes = [len(network.architecture.zero_state(0)) for network in networks]
        self.eval()

    def train(self, mode: bool = True) -> NetworkEnsemble:
        return super().train(False)

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        log_probs, carried, first = [], [], 0
        for network, layers, share in zip(self.members, self.sizes, self.log_shares, strict=True):
            before = None if state is None else state[first : first + layers]
            logits, after = network(ids, before)
            log_probs.append(F.log_softmax(logits.float(), -1) + share)
            carried += after
            first += layers
        return torch.stack(log_probs).logsumexp(0), carried


class CountedNetwork(nn.Module):
    """A network or an ensemble, mixed with counts.

    The counts predict on the CPU. The network is not called if its weight is always 0.
    """

    by_length: Tensor

    def __init__(self, network: Network | NetworkEnsemble, counts: Counts) -> None:
        super().__init__()
        self.network = network
        self.counts = counts
        self.architecture = network.architecture
        self.register_buffer("by_length", torch.from_numpy(counts.by_length), persistent=False)

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        table = self.counts.table
        nodes = table.zero_state(len(ids)) if state is None else state[-1][0].cpu().numpy()
        arrays = table.read(ids.cpu().numpy(), nodes)
        p, lengths, after = (torch.from_numpy(array).to(ids.device) for array in arrays)
        weights = self.by_length[lengths]
        scores = weights[..., 1:] * p.log()
        carried: State = [] if state is None else state[:-1]
        if self.counts.needs_network:
            logits, carried = self.network(ids, carried or None)
            scores = scores + weights[..., :1] * logits.float()
        return F.log_softmax(scores, -1), [*carried, (after,)]


AnyNetwork = Network | NetworkEnsemble | CountedNetwork


def join_networks(trained: Trained) -> Network | NetworkEnsemble:
    """Return the network of a trained model or an ensemble, without its counts, on the CPU."""
    if isinstance(trained, TrainedEnsemble):
        return NetworkEnsemble([make_network(m) for m in trained.members], trained.shares)
    return make_network(trained)


def make_any_network(trained: Trained) -> AnyNetwork:
    """Return the network of a trained model or an ensemble, with its counts, on the CPU."""
    network = join_networks(trained)
    return network if trained.counts is None else CountedNetwork(network, trained.counts)
