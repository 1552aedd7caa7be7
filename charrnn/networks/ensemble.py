"""Networks whose probabilities are averaged, or mixed with counts, with the face of one network.

The logits of an ensemble are ln(weighted mean of the members' softmaxes), whose own softmax that
mean is; its state is the members' layers, one member after the other. Those of a mix with counts
are its ln p, and the nodes (N, K) of the table's contexts are the last entry of its state. So
whatever takes a network takes these: evaluation, and sampling with torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.mixing import Counts
from charrnn.models.trained import Trained, TrainedEnsemble
from charrnn.networks.network import Network, State, network_of


class NetworkEnsemble(nn.Module):
    """Networks with one vocabulary; it is called as they are.

    Dropout is no part of it: the members stay in the mode of evaluation.

    Args:
        shares: the weights of the mean, which sum to 1.

    Attributes:
        architecture: the first one's, whose vocabulary is everyone's.
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
        logs, carried, first = [], [], 0
        for network, layers, share in zip(self.members, self.sizes, self.log_shares, strict=True):
            before = None if state is None else state[first : first + layers]
            logits, after = network(ids, before)
            logs.append(F.log_softmax(logits.float(), -1) + share)
            carried += after
            first += layers
        return torch.stack(logs).logsumexp(0), carried


class CountedNetwork(nn.Module):
    """A network, or an ensemble, mixed with counts.

    The table of counts predicts on the CPU. If the counts' weights give the network no say, it is
    not called.
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
        read = table.read(ids.cpu().numpy(), nodes)
        p, lengths, after = (torch.from_numpy(values).to(ids.device) for values in read)
        weights = self.by_length[lengths]
        scores = weights[..., 1:] * p.log()
        carried: State = [] if state is None else state[:-1]
        if self.counts.needs_network:
            logits, carried = self.network(ids, carried or None)
            scores = scores + weights[..., :1] * logits.float()
        return F.log_softmax(scores, -1), [*carried, (after,)]


AnyNetwork = Network | NetworkEnsemble | CountedNetwork


def join_networks(trained: Trained) -> Network | NetworkEnsemble:
    """Return the network of a trained model, or of an ensemble as one, on the CPU."""
    if isinstance(trained, TrainedEnsemble):
        return NetworkEnsemble([network_of(m) for m in trained.members], trained.shares)
    return network_of(trained)


def any_network_of(trained: Trained) -> AnyNetwork:
    """Return the network that a trained model predicts with, with its counts, on the CPU."""
    network = join_networks(trained)
    return network if trained.counts is None else CountedNetwork(network, trained.counts)
