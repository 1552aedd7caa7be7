"""What a model's units are along a passage, from the engine that reads for sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from charrnn.data import Ids
from charrnn.generation.engines import Engines
from charrnn.generation.state import State, beginning
from charrnn.generation.token_sampler import Floats, log_softmax, not_numbers
from charrnn.generation.weights import Array
from charrnn.models.trained import TrainedModel

ROWS = 16
SHORTEST_ROW = 512  # characters
UNCHANGED = 1e-4  # of a state


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
    """Read a passage.

    It is cut into rows that are read side by side, at first all from the zero state, then each
    from the state in which the one before it ended, until that makes no difference any more.

    Args:
        ids: (T,) from 0.
        report: called now and then with the characters done and those in all.

    Raises:
        RunError: the model's scores are not numbers.
    """
    length = len(ids)
    rows = max(1, min(ROWS, length // SHORTEST_ROW))
    columns = -(-length // rows)
    # the last row goes on with the last character, which is then left out
    places = np.minimum(np.arange(rows * columns + 1), length - 1)
    cut = np.stack([ids[places[row * columns :][: columns + 1]] for row in range(rows)])
    engines, state = Engines(model), beginning(model, rows)
    for _ in range(rows):
        carried, losses = _read(engines, cut, state, report)
        ends = [tuple(vectors[:, -1] for vectors in layer) for layer in carried]
        before = [tuple(np.roll(end, 1, 0) for end in layer) for layer in ends]
        for layer in before:
            for vector in layer:
                vector[0] = 0
        if _differ(before, state) <= UNCHANGED:
            break
        state = before
    whole = np.concatenate([[np.nan], losses.ravel()[: length - 1]]).astype(np.float32)
    if not np.isfinite(whole[1:]).all():
        raise not_numbers()
    flat = [tuple(v.reshape(-1, v.shape[2])[:length] for v in layer) for layer in carried]
    return Trace(flat, whole)


def _read(
    engines: Engines, ids: Ids, state: State, report: Callable[[int, int], None] | None
) -> tuple[State, Floats]:
    """What is carried (R, C, H) after all but the last of ids (R, C + 1); the losses (R, C)."""
    rows, columns = ids.shape[0], ids.shape[1] - 1
    carried: State = [
        tuple(np.empty((rows, columns, vector.shape[1]), np.float32) for vector in layer)
        for layer in state
    ]
    losses = np.empty((rows, columns))
    for t in range(columns):
        logits, state = engines.reader.read(ids[:, t : t + 1], state)
        for kept, now in zip(carried, state, strict=True):
            for array, vector in zip(kept, now, strict=True):
                array[:, t] = vector
        losses[:, t] = surprise(logits[:, 0], ids[:, t + 1])
        if report is not None and t % 64 == 0:
            report(t * rows, columns * rows)
    return carried, losses


def _differ(one: State, other: State) -> float:
    """The largest difference between two states."""
    return max(
        float(np.abs(a - b).max(initial=0))
        for layers in zip(one, other, strict=True)
        for a, b in zip(*layers, strict=True)
    )


def surprise(logits: Array, ids: Ids) -> Floats:
    """-ln p (...,) of the characters that came (...,), given logits (..., V)."""
    came: Floats = np.take_along_axis(log_softmax(logits), ids[..., None], -1)
    return -came[..., 0]
