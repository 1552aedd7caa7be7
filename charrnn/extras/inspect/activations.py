"""What a network's units are along a passage, and its gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from charrnn.cpu import single_blas_thread
from charrnn.data import Ids
from charrnn.errors import non_finite_scores
from charrnn.generation.numpy_engine import NumpyNetwork, State, beginning
from charrnn.generation.token_sampler import Floats, log_softmax
from charrnn.generation.weights import Array, fold
from charrnn.models.trained import TrainedModel

_AT_ONCE = 256  # characters


@dataclass(frozen=True)
class Trace:
    """What was seen of a network that read a passage of T characters from the zero state.

    Attributes:
        carried: for each layer what its cell carries after each character, an array (T, H)
            each, in the order of the cell's `carried`.
        losses: (T,), the surprise at each character in nats; not a number for the first.
    """

    carried: State
    losses: Array

    @property
    def hidden(self) -> list[Array]:
        """The hidden vectors (T, H) of each layer."""
        return [layer[0] for layer in self.carried]


def trace(
    model: TrainedModel, ids: Ids, *, report: Callable[[int, int], None] | None = None
) -> Trace:
    """Read a passage, character by character, with the network alone.

    Args:
        ids: (T,) from 0.
        report: called now and then with the characters done and those in all.

    Raises:
        RunError: the model's scores are not numbers.
    """
    network, state = NumpyNetwork(fold(model)), beginning(replace(model, counts=None), 1)
    steps = network.begin(state)
    carried: State = [
        tuple(np.empty((len(ids), vector.shape[1]), np.float32) for vector in layer)
        for layer in state
    ]
    losses = np.full(len(ids), np.nan, np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        end = min(start + _AT_ONCE, len(ids))
        with single_blas_thread():
            for t in range(start, end):
                steps.advance(ids[t : t + 1])
                for kept, now in zip(carried, steps.state(), strict=True):
                    for array, vector in zip(kept, now, strict=True):
                        array[t] = vector[0]
            read = [tuple(array[start:end] for array in layer) for layer in carried]
            came = ids[start + 1 : end + 1]
            losses[start + 1 : end + 1] = surprise(network.begin(read).logits()[: len(came)], came)
        if report is not None:
            report(start, len(ids))
    if not np.isfinite(losses[1:]).all():
        raise non_finite_scores()
    return Trace(carried, losses)


def surprise(logits: Array, ids: Ids) -> Floats:
    """-ln p (...,) of the characters that came (...,), given logits (..., V)."""
    came: Floats = np.take_along_axis(log_softmax(logits), ids[..., None], -1)
    return -came[..., 0]


def gates(
    model: TrainedModel, ids: Ids, hidden: list[Array], every: int = 1
) -> list[dict[str, Array]]:
    """For each layer, by its letter, each gate (n, H) that is a sigmoid, between 0 and 1.

    Args:
        ids: (T,) from 0.
        hidden: the hidden vectors (T, H) of each layer along them.
        every: of how many characters one is looked at.
    """
    folded, cell = fold(model), model.architecture.cell
    found = []
    for layer, own in enumerate(hidden):
        if layer:
            read = hidden[layer - 1][::every]
            read = read * folded.scales[layer - 1] if folded.scales else read
            sums = read @ folded.inputs[layer - 1].T + folded.biases[layer - 1]
        else:
            sums = folded.table[ids[::every]]
        before = np.concatenate([np.zeros_like(own[:1]), own[:-1]])[::every]
        sums = sums + before @ folded.recurrent[layer].T
        values = (np.tanh(sums * np.float32(0.5)) + 1) * np.float32(0.5)
        rows = {gate: cell.rows(gate, own.shape[1]) for gate in cell.sigmoids}
        found.append({gate: values[:, part] for gate, part in rows.items()})
    return found
