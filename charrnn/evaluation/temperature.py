"""The temperature at which a network predicts best: that of its evaluation.

A network that has learned a text too well is too sure of itself on another, and one that was
held back by much dropout not sure enough. A temperature that divides the logits, chosen on the
validation split, takes this out of the loss (Guo et al. 2017, arXiv 1706.04599; Melis et al.
2018, arXiv 1707.05589, fit it before they score).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from charrnn.data import Ids, SplitIds
from charrnn.ensemble import AnyNetwork
from charrnn.evaluation.score import losses_of, scored_ids

TEMPERATURES = tuple(t / 100 for t in range(80, 126))
ENOUGH = 200_000  # characters: more do not move the second decimal
WINDOW = 1000
_AT_ONCE = 20


class Fitted(NamedTuple):
    """Attributes: loss: in nats per character at `temperature`; plain: that at 1."""

    temperature: float
    loss: float
    plain: float


def fitted_temperature(network: AnyNetwork, ids: Ids | SplitIds) -> Fitted:
    """Which of `TEMPERATURES` gives a text the lowest loss.

    The text is scored in cold windows of 1,000 characters, at most 200,000 characters of it: what
    a network lacks at the beginning of each is much the same at any temperature.

    Args:
        ids: (n,) from 0, n >= 2.

    Raises:
        ValueError: there is nothing to predict.
    """
    text = np.asarray(scored_ids(ids)[: ENOUGH + 1])
    length = min(WINDOW, len(text) - 1)
    rows = (len(text) - 1) // length
    windows = np.stack([text[n * length : (n + 1) * length + 1] for n in range(rows)])
    device = next(network.parameters()).device
    sums = np.zeros(len(TEMPERATURES))
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for first in range(0, rows, _AT_ONCE):
                part = torch.from_numpy(windows[first : first + _AT_ONCE]).to(device)
                logits, _ = network(part[:, :-1])
                for n, temperature in enumerate(TEMPERATURES):
                    sums[n] += float(losses_of(logits / temperature, part[:, 1:]).double().sum())
    finally:
        network.train(was_training)
    losses = sums / (rows * length)
    best = int(losses.argmin())
    return Fitted(TEMPERATURES[best], losses[best], losses[TEMPERATURES.index(1.0)])
