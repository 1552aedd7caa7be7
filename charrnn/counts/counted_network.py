"""A network and counts as one network, for all that torch evaluates and samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.mixing import Counts
from charrnn.network import State


class CountedNetwork(nn.Module):
    """The mix of a network and counts, with the face of a network: its logits are ln p.

    The nodes of the table's contexts (N, K) are the last entry of its state, and zero at the
    beginning, as the rest is.

    Args:
        network: whatever takes ids (N, T) and a state and returns logits (N, T, V) and a state;
            it is not called where the counts' weights leave it no say.
    """

    def __init__(self, network: Any, counts: Counts) -> None:
        super().__init__()
        self.network = network
        self.counts = counts
        self.architecture = network.architecture

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        table = self.counts.table
        nodes = table.beginning(len(ids)) if state is None else state[-1][0].cpu().numpy()
        p, lengths, nodes = table.read(ids.cpu().numpy(), nodes)
        weights = torch.from_numpy(self.counts.by_length[lengths]).to(ids.device)
        scores = weights[..., 1:] * torch.from_numpy(p).to(ids.device).log_()
        carried: State = [] if state is None else state[:-1]
        if self.counts.needs_network:
            logits, carried = self.network(ids, carried or None)
            scores = scores + weights[..., :1] * logits.float()
        return F.log_softmax(scores, -1), [*carried, (torch.from_numpy(nodes).to(ids.device),)]
