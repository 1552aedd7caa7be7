"""Small networks of every kind, and the plain definition of a loss."""

from __future__ import annotations

import numpy as np
import torch

from charrnn.models.trained import Architecture
from charrnn.network import Network


def network(kind: str, dropout: float = 0.0, batchnorm: bool = False) -> Network:
    torch.manual_seed(3)
    return Network(Architecture(kind, 8, 16, 2, dropout, batchnorm, vocabulary_size=11))


def in_float64(net: Network) -> Network:
    weights = net.state_dict()
    net = Network(net.architecture).double().eval()
    net.load_state_dict(weights)
    return net


def losses_of_one_stream(net: Network, ids: np.ndarray) -> np.ndarray:
    """The definition: character by character in float64, from the zero state."""
    with torch.no_grad():
        logits, _ = in_float64(net)(torch.from_numpy(ids[None, :-1]))
    return -torch.log_softmax(logits[0], -1)[torch.arange(len(ids) - 1), ids[1:]].numpy()


def one_stream(net: Network, ids: np.ndarray) -> float:
    return float(losses_of_one_stream(net, ids).mean())
