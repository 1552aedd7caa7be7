"""Networks whose probabilities are averaged, or mixed with counts, with the face of one network.

The logits of an ensemble are ln(weighted mean of the members' softmaxes), whose own softmax that
mean is; its state is the members' layers, one member after the other. Those of a mix with counts
are its ln p, and the nodes (N, K) of the table's contexts are the last entry of its state. So
whatever takes a network takes these: evaluation, the torch engine.
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

    It is not called where the counts' weights leave it no say. On a CPU the table itself predicts;
    elsewhere tensors of it do, so that a character waits for no copy.
    """

    keys: Tensor
    mass: Tensor
    backoff: Tensor
    unigram: Tensor
    runs: Tensor
    by_length: Tensor

    def __init__(self, network: Network | NetworkEnsemble, counts: Counts) -> None:
        super().__init__()
        self.network = network
        self.counts = counts
        self.architecture = network.architecture
        self.register_buffer("by_length", torch.from_numpy(counts.by_length), persistent=False)
        for name in ("keys", "mass", "backoff", "unigram", "runs"):
            values = torch.from_numpy(getattr(counts.table, name))
            self.register_buffer(name, values, persistent=False)

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        table = self.counts.table
        nodes = torch.from_numpy(table.zero_state(len(ids))) if state is None else state[-1][0]
        if ids.device.type == "cpu":
            read = table.read(ids.numpy(), nodes.numpy())
            p, lengths, nodes = (torch.from_numpy(values) for values in read)
        else:
            p, lengths, nodes = self.read(ids, nodes.to(ids.device))
        weights = self.by_length[lengths]
        scores = weights[..., 1:] * p.log()
        carried: State = [] if state is None else state[:-1]
        if self.counts.needs_network:
            logits, carried = self.network(ids, carried or None)
            scores = scores + weights[..., :1] * logits.float()
        return F.log_softmax(scores, -1), [*carried, (nodes,)]

    def read(self, ids: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `CountTable.read`, of tensors and on their device."""
        contexts = ids.new_zeros((*ids.shape, nodes.shape[1]))
        shorter = torch.zeros_like(ids)
        p = self.unigram.expand(*ids.shape, -1)
        characters = torch.arange(len(self.unigram), device=ids.device)
        for k in range(nodes.shape[1]):
            context = self._child(shorter, ids) * ((shorter > 0) | (k == 0))
            longer = self.mass[self._child(context[..., None], characters)]
            p = torch.where(
                context[..., None] > 0, self.backoff[context][..., None] * p + longer, p
            )
            contexts[..., k] = context
            shorter = torch.cat([nodes[:, k : k + 1], context[:, :-1]], 1)
        in_run = torch.isin(contexts[..., -1], self.runs)
        lengths = torch.where(in_run, nodes.shape[1] + 1, contexts.count_nonzero(-1))
        return p, lengths, contexts[:, -1].to(nodes.dtype)

    def _child(self, nodes: Tensor, ids: Tensor) -> Tensor:
        """As `CountTable.child`."""
        keys = (nodes * len(self.unigram) + ids).to(self.keys.dtype)
        found = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[found] == keys, found + 1, 0)


AnyNetwork = Network | NetworkEnsemble | CountedNetwork


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
