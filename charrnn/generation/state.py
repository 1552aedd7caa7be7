"""What N streams carry from one character to the next: plain arrays, in and out of every call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.models.ensemble import Trained

# For each layer the vectors that its cell carries, each (N, H); a row a stream in whatever it is
State = list[tuple[npt.NDArray[Any], ...]]


def beginning(model: Trained, streams: int) -> State:
    """The state before the first character, zero.

    That of an ensemble is its members' layers, one member after the other. Where counts are
    mixed in, the nodes (N, K) of their contexts come last.
    """
    layers = [layer for m in model.members for layer in m.architecture.zero_state(streams)]
    if model.counts is None:
        return layers
    return [*layers, (model.counts.table.beginning(streams),)]


def rows_of(state: State, streams: Sequence[int]) -> State:
    """A copy for the named streams, in that order; one may be named several times."""
    return [tuple(vectors[streams] for vectors in layer) for layer in state]


def joined(states: Sequence[State]) -> State:
    """Several states' streams as those of one."""
    return [
        tuple(np.concatenate(vectors) for vectors in zip(*layers, strict=True))
        for layers in zip(*states, strict=True)
    ]
