"""How the loss depends on how much of the text was read before.

Windows of the passage are read from the zero state; the losses of the characters at the same
distance from a window's start are averaged. What goes on falling after the few characters that
counts look back is what the network remembers.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from charrnn.data import Ids
from charrnn.extras.inspect.activations import surprise
from charrnn.generation.engines import Engines
from charrnn.generation.numpy_engine import beginning
from charrnn.models.trained import TrainedModel

LONGEST = 256  # characters of a window
WINDOWS = 128
_LOGITS_AT_ONCE = 1 << 22

Losses = npt.NDArray[np.float64]


def windows(length: int) -> npt.NDArray[np.int64]:
    """Places (N, D + 1) of the characters of N windows spread over a passage of T >= 2."""
    longest = min(LONGEST, max(1, length // 2))
    starts = np.unique(np.linspace(0, length - longest - 1, WINDOWS).astype(np.int64))
    return starts[:, None] + np.arange(longest + 1)


def mean_losses(model: TrainedModel, ids: Ids) -> Losses:
    """The mean loss (D,) of characters before which 1, 2, ... D of a window were read.

    Args:
        ids: those (N, D + 1) of the windows.
    """
    reader, state = Engines(model).reader, beginning(model, len(ids))
    chunk = max(1, _LOGITS_AT_ONCE // (len(ids) * len(model.vocabulary)))
    found = np.empty(ids.shape[1] - 1)
    for start in range(0, len(found), chunk):
        part = slice(start, min(start + chunk, len(found)))
        logits, state = reader.read(ids[:, part], state)
        found[part] = surprise(logits, ids[:, part.start + 1 : part.stop + 1]).mean(0)
    return found


def by_distance(losses: Losses) -> list[tuple[int, int, float]]:
    """Losses (D,) averaged over distances that grow as they do: (first, last, mean)."""
    bounds = np.unique(np.geomspace(1, len(losses) + 1, 25).astype(int))
    return [
        (int(first), int(last) - 1, float(losses[first - 1 : last - 1].mean()))
        for first, last in itertools.pairwise(bounds)
    ]
