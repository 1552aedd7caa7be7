"""What a model's units are along a passage, from the engine that reads for sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from charrnn.data import Ids
from charrnn.generation.choosing import not_numbers
from charrnn.generation.engines import Engines
from charrnn.generation.state import State, beginning
from charrnn.generation.weights import Array
from charrnn.models.trained import TrainedModel


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


def trace(
    model: TrainedModel, ids: Ids, *, report: Callable[[int, int], None] | None = None
) -> Trace:
    """Read a passage character by character.

    Args:
        ids: (T,) from 0.
        report: called now and then with the characters done and those in all.

    Raises:
        RunError: the model's scores are not numbers.
    """
    reader, state, length = Engines(model).reader, beginning(model, 1), len(ids)
    carried: State = [
        tuple(np.empty((length, vector.shape[1]), np.float32) for vector in layer)
        for layer in state
    ]
    losses = np.full(length, np.nan, np.float32)
    for t in range(length):
        logits, state = reader.read(ids[None, t : t + 1], state)
        for kept, now in zip(carried, state, strict=True):
            for array, vector in zip(kept, now, strict=True):
                array[t] = vector[0]
        if t + 1 < length:
            losses[t + 1] = surprise(logits[0], ids[t + 1 : t + 2])[0]
        if report is not None and t % 256 == 0:
            report(t, length)
    if not np.isfinite(losses[1:]).all():
        raise not_numbers()
    return Trace(carried, losses)


def surprise(logits: Array, ids: Ids) -> np.ndarray:
    """-ln p (..., ) in float64 of the characters that came (...,), given logits (..., V)."""
    scores = logits.astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    came = np.take_along_axis(scores, ids[..., None], -1)[..., 0]
    found: np.ndarray = np.log(np.exp(scores).sum(-1)) - came
    return found
