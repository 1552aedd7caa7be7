"""A network's activations along a passage, and its loss by context length.

For the loss by context length, the model reads windows of the passage from the zero state. The
losses at the same distance from the start of a window are averaged. The counts see only a few
characters. If the loss still falls at longer distances, the network remembers more.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from charrnn.data import Ids
from charrnn.errors import make_non_finite_error
from charrnn.generation.draw import Array, Floats, log_softmax
from charrnn.generation.engines import make_engine
from charrnn.generation.numpy_network import make_network_step
from charrnn.models.trained import State, TrainedModel, concat_states, zero_state
from charrnn.processors import limit_blas_threads

_CHUNK = 1024  # characters per batch of losses
MAX_WINDOW = 256  # characters
NUM_WINDOWS = 128
_MAX_LOGITS = 1 << 22


@dataclass(frozen=True)
class Trace:
    """The states and losses of a network that read T characters from the zero state."""

    # per layer, the cell's state after each character: arrays (T, H) in the order of the cell's
    # `carried`
    carried: State
    losses: Floats  # (T,), the loss of each character in nats; NaN for the first


def trace_passage(model: TrainedModel, ids: Ids) -> Trace:
    """Read ids (T,) with the network only. Raise RunError if its logits are not finite."""
    step, state = make_network_step(model), zero_state(replace(model, counts=None), 1)
    states, logits = list[State](), np.empty((len(ids), len(model.vocabulary)), np.float32)
    with limit_blas_threads():
        for t in range(len(ids)):
            logits[t], state = step(ids[t : t + 1], state)
            states.append(state)
    losses = [np.full(1, np.nan)]
    for start in range(0, len(ids) - 1, _CHUNK):
        targets = ids[start + 1 : start + 1 + _CHUNK]
        losses.append(compute_losses(logits[start : start + len(targets)], targets))
    trace = Trace(concat_states(states), np.concatenate(losses))
    if not np.isfinite(trace.losses[1:]).all():
        raise make_non_finite_error()
    return trace


def compute_losses(logits: Array, targets: Ids) -> Floats:
    """Return the cross-entropy (...,) of logits (..., V) and target ids (...,) in nats."""
    log_probs: Floats = np.take_along_axis(log_softmax(logits), targets[..., None], -1)
    return -log_probs[..., 0]


def choose_windows(length: int) -> npt.NDArray[np.int64]:
    """Return the positions (N, D + 1) of N windows, spread over a passage of `length` >= 2."""
    window = min(MAX_WINDOW, max(1, length // 2))
    starts = np.unique(np.linspace(0, length - window - 1, NUM_WINDOWS).astype(np.int64))
    return starts[:, None] + np.arange(window + 1)


def compute_mean_losses(model: TrainedModel, ids: Ids) -> Floats:
    """Return the mean losses (D,) of windows (N, D + 1) after 1, 2, ... D characters of context."""
    reader, state = make_engine(model), zero_state(model, len(ids))
    chunk = max(1, _MAX_LOGITS // (len(ids) * len(model.vocabulary)))
    means = []
    for start in range(0, ids.shape[1] - 1, chunk):
        targets = ids[:, start + 1 : start + 1 + chunk]
        logits, state = reader.read(ids[:, start : start + targets.shape[1]], state)
        means.append(compute_losses(logits, targets).mean(0))
    return np.concatenate(means)


def average_by_distance(losses: Floats) -> list[tuple[int, int, float]]:
    """Average losses (D,) over logarithmic ranges of distances, as (first, last, mean)."""
    bounds = np.unique(np.geomspace(1, len(losses) + 1, 25).astype(int))
    return [
        (int(first), int(last) - 1, float(losses[first - 1 : last - 1].mean()))
        for first, last in itertools.pairwise(bounds)
    ]
