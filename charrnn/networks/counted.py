"""A network that is mixed with counts, which is called like a network.

Its logits are log-probabilities, and the last entry of its state is the counts' state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.mixing import Counts
from charrnn.models.trained import TrainedModel
from charrnn.networks.network import Network, State, make_network


class CountedNetwork(nn.Module):
    """A network, mixed with counts.

    The counts predict on the CPU. The network is not called if its weight is always 0.
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
