"""What a model's units are along a passage, from the engine that reads for sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from charrnn.data import Ids
from charrnn.generation.numpy_engine import NumpyEngine, on_one_thread
from charrnn.generation.state import State, beginning
from charrnn.generation.token_sampler import Floats, log_softmax, not_numbers
from charrnn.generation.weights import Array, fold
from charrnn.models.trained import TrainedModel

_AT_ONCE = 256  # characters


@dataclass(frozen=True)
class Trace:
    """What was seen of a model that read a passage of T characters from the zero state.

    Attributes:
        carried: for each layer what its cell carries after each character, an array (T, H)
            each, in the order of the cell's `carried`.
        losses: (T,), the surprise at each character in nats; not a number for the first.
    """

    carried: list[tuple[Array, ...]]
    losses: Array

    @property
    def hidden(self) -> list[Array]:
        """The hidden vectors (T, H) of each layer."""
        return [layer[0] for layer in self.carried]


@on_one_thread
def trace(
    model: TrainedModel, ids: Ids, *, report: Callable[[int, int], None] | None = None
) -> Trace:
    """Read a passage, character by character.

    Args:
        ids: (T,) from 0.
        report: called now and then with the characters done and those in all.

    Raises:
        RunError: the model's scores are not numbers.
    """
    state = beginning(model, 1)
    steps = NumpyEngine(fold(model)).steps(state)
    carried: State = [
        tuple(np.empty((len(ids), vector.shape[1]), np.float32) for vector in layer)
        for layer in state
    ]
    losses = np.full(len(ids), np.nan, np.float32)
    logits = np.empty((_AT_ONCE, len(model.vocabulary)), np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE + 1]
        for t in range(min(_AT_ONCE, len(ids) - start)):
            steps.take_in(part[t : t + 1])
            logits[t] = steps.scores()
            for kept, now in zip(carried, steps.state(), strict=True):
                for array, vector in zip(kept, now, strict=True):
                    array[start + t] = vector[0]
        losses[start + 1 : start + len(part)] = surprise(logits[: len(part) - 1], part[1:])
        if report is not None:
            report(start, len(ids))
    if not np.isfinite(losses[1:]).all():
        raise not_numbers()
    return Trace(carried, losses)


def surprise(logits: Array, ids: Ids) -> Floats:
    """-ln p (...,) of the characters that came (...,), given logits (..., V)."""
    came: Floats = np.take_along_axis(log_softmax(logits), ids[..., None], -1)
    return -came[..., 0]
