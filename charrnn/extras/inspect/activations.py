"""What a network's units are along a passage, its gates, and the loss by context.

For the loss by context windows of the passage are read from the zero state; the losses of the
characters at the same distance from a window's start are averaged. What goes on falling after the
few characters that counts look back is what the network remembers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from charrnn.data import Ids
from charrnn.errors import non_finite_scores
from charrnn.generation.draw import Array, Floats, log_softmax
from charrnn.generation.engines import concat_states, make_engine
from charrnn.generation.library_threads import single_blas_thread
from charrnn.generation.numpy_network import fold_weights, make_network_step
from charrnn.models.trained import State, TrainedModel, zero_state

_AT_ONCE = 1024  # characters
LONGEST = 256  # characters of a window
WINDOWS = 128
_LOGITS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Trace:
    """What was seen of a network that read a passage of T characters from the zero state.

    Attributes:
        carried: for each layer what its cell carries after each character, an array (T, H)
            each, in the order of the cell's `carried`.
        losses: (T,), the surprise at each character in nats; not a number for the first.
    """

    carried: State
    losses: Floats

    @property
    def hidden(self) -> list[Array]:
        """The hidden vectors (T, H) of each layer."""
        return [layer[0] for layer in self.carried]


def trace(model: TrainedModel, ids: Ids) -> Trace:
    """Read a passage, character by character, with the network alone.

    Args:
        ids: (T,) from 0.

    Raises:
        RunError: the model's scores are not numbers.
    """
    step, state = make_network_step(model), zero_state(replace(model, counts=None), 1)
    states, logits = list[State](), np.empty((len(ids), len(model.vocabulary)), np.float32)
    with single_blas_thread():
        for t in range(len(ids)):
            logits[t], state = step(ids[t : t + 1], state)
            states.append(state)
    losses = [np.full(1, np.nan)]
    for start in range(0, len(ids) - 1, _AT_ONCE):
        came = ids[start + 1 : start + 1 + _AT_ONCE]
        losses.append(surprise(logits[start : start + len(came)], came))
    seen = Trace(concat_states(states), np.concatenate(losses))
    if not np.isfinite(seen.losses[1:]).all():
        raise non_finite_scores()
    return seen


def surprise(logits: Array, ids: Ids) -> Floats:
    """-ln p (...,) of the characters that came (...,), given logits (..., V)."""
    came: Floats = np.take_along_axis(log_softmax(logits), ids[..., None], -1)
    return -came[..., 0]


def gates(model: TrainedModel, ids: Ids, hidden: list[Array]) -> list[dict[str, Array]]:
    """For each layer, by its letter, each gate (T, H) that is a sigmoid, between 0 and 1.

    Args:
        ids: (T,) from 0.
        hidden: the hidden vectors (T, H) of each layer along them.
    """
    folded, cell = fold_weights(model), model.architecture.cell
    layers = []
    for layer, own in enumerate(hidden):
        if layer:
            read = (
                hidden[layer - 1] * folded.scales[layer - 1] if folded.scales else hidden[layer - 1]
            )
            sums: Floats | Array = read @ folded.inputs[layer - 1].T + folded.biases[layer - 1]
        else:
            sums = folded.table[ids]
        before = np.concatenate([np.zeros_like(own[:1]), own[:-1]])
        sums = sums + before @ folded.recurrent[layer].T
        values = ((np.tanh(sums / 2) + 1) / 2).astype(np.float32)
        rows = {gate: cell.rows(gate, own.shape[1]) for gate in cell.sigmoids}
        layers.append({gate: values[:, part] for gate, part in rows.items()})
    return layers


def windows(length: int) -> npt.NDArray[np.int64]:
    """Places (N, D + 1) of the characters of N windows spread over a passage of T >= 2."""
    longest = min(LONGEST, max(1, length // 2))
    starts = np.unique(np.linspace(0, length - longest - 1, WINDOWS).astype(np.int64))
    return starts[:, None] + np.arange(longest + 1)


def mean_losses(model: TrainedModel, ids: Ids) -> Floats:
    """The mean loss (D,) of characters before which 1, 2, ... D of a window were read.

    Args:
        ids: those (N, D + 1) of the windows.
    """
    reader, state = make_engine(model), zero_state(model, len(ids))
    chunk = max(1, _LOGITS_AT_ONCE // (len(ids) * len(model.vocabulary)))
    means = []
    for start in range(0, ids.shape[1] - 1, chunk):
        came = ids[:, start + 1 : start + 1 + chunk]
        logits, state = reader.read(ids[:, start : start + came.shape[1]], state)
        means.append(surprise(logits, came).mean(0))
    return np.concatenate(means)


def by_distance(losses: Floats) -> list[tuple[int, int, float]]:
    """Losses (D,) averaged over distances that grow as they do: (first, last, mean)."""
    bounds = np.unique(np.geomspace(1, len(losses) + 1, 25).astype(int))
    return [
        (int(first), int(last) - 1, float(losses[first - 1 : last - 1].mean()))
        for first, last in itertools.pairwise(bounds)
    ]
