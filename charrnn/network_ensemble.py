"""Networks whose probabilities are averaged, with the face of one network.

The logits of an ensemble are ln(weighted mean of the members' softmaxes), whose own softmax that
mean is; its state is the members' layers, one member after the other. So whatever takes a network
takes an ensemble: evaluation, the torch engine.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.counted_network import CountedNetwork
from charrnn.models.ensemble import Trained, TrainedEnsemble
from charrnn.network import Network, State, network_of


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


AnyNetwork = Network | NetworkEnsemble | CountedNetwork


def is_normalized(network: AnyNetwork) -> bool:
    """Whether the logits of a network are ln p as they stand."""
    return isinstance(network, (NetworkEnsemble, CountedNetwork))


def any_network_of(trained: Trained) -> AnyNetwork:
    """What a trained model predicts with, on the CPU.

    Its network, or those of an ensemble as one, and its counts with them where it has some.
    """
    network: Network | NetworkEnsemble
    if isinstance(trained, TrainedEnsemble):
        network = NetworkEnsemble([network_of(m) for m in trained.members], trained.shares)
    else:
        network = network_of(trained)
    return network if trained.counts is None else CountedNetwork(network, trained.counts)
