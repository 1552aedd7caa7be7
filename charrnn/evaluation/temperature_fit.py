"""The temperature at which a network predicts best: that of its evaluation.

A network that has learned a text too well is too sure of itself on another, and one that was
held back by much dropout not sure enough. A temperature that divides the logits, chosen on the
validation split, takes this out of the loss (Guo et al. 2017, arXiv 1706.04599; Melis et al.
2018, arXiv 1707.05589, fit it before they score).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import losses_of, scored_ids
from charrnn.evaluation.windows import evaluating, logits_in_parts
from charrnn.network_ensemble import AnyNetwork

# in hundredths: first these, then those between the neighbours of the best of them, since the
# loss has one minimum (it is convex in 1 / temperature)
COARSE = range(50, 201, 10)
MOST_CHARACTERS = 200_000  # characters: more do not move the second decimal
WINDOW = 1000
_AT_ONCE = 20


class Fitted(NamedTuple):
    """Attributes: loss: in nats per character at `temperature`; plain: that at 1."""

    temperature: float
    loss: float
    plain: float


def fitted_temperature(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    *,
    report: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Which temperature from 0.5 to 2, in hundredths, gives a text the lowest loss.

    The text is scored in cold windows of 1,000 characters, at most 200,000 characters of it: what
    a network lacks at the beginning of each is much the same at any temperature.

    Args:
        ids: (n,) from 0, n >= 2.
        report: called with the characters done and the characters in all, each counted twice.

    Raises:
        ValueError: there is nothing to predict.
    """
    text = np.asarray(scored_ids(ids)[: MOST_CHARACTERS + 1])
    length = min(WINDOW, len(text) - 1)
    rows = (len(text) - 1) // length
    each, done = rows * length, 0

    def count(characters: int) -> None:
        nonlocal done
        done += characters
        if report is not None:
            report(done, 2 * each)

    windows = np.stack([text[n * length : (n + 1) * length + 1] for n in range(rows)])
    with evaluating(network):
        losses = _losses(network, windows, COARSE, count)
        near = min(losses, key=losses.__getitem__)
        fine = range(max(near - COARSE.step, COARSE[0]), min(near + COARSE.step, COARSE[-1]) + 1)
        losses |= _losses(network, windows, [t for t in fine if t not in losses], count)
    best = min(losses, key=losses.__getitem__)
    return Fitted(best / 100, losses[best], losses[100])


def _losses(
    network: AnyNetwork, windows: Ids, hundredths: Sequence[int], count: Callable[[int], None]
) -> dict[int, float]:
    """The mean loss of windows (rows, length + 1) at each of several temperatures."""
    sums = np.zeros(len(hundredths))
    length = windows.shape[1] - 1
    with torch.inference_mode():
        for first in range(0, len(windows), _AT_ONCE):
            part = windows[first : first + _AT_ONCE]
            columns = functools.partial(_columns, part)
            for logits, targets in logits_in_parts(network, columns, len(part), length):
                for n, each in enumerate(hundredths):
                    sums[n] += losses_of(logits / (each / 100), targets).double().sum().item()
                count(targets.numel())
    return dict(zip(hundredths, (sums / windows[:, 1:].size).tolist(), strict=True))


def _columns(windows: Ids, columns: slice) -> Ids:
    return windows[:, columns]
