"""What N streams carry from one character to the next: plain arrays, in and out of every call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charrnn.generation.weights import Array

# For each layer the vectors that it carries, each (N, H): h and c for lstm, h for gru and rnn
State = list[tuple[Array, ...]]


def zero_state(streams: int, num_layers: int, carried: int, hidden_size: int) -> State:
    """The state before the first character; `carried` vectors a layer."""
    zeros = [np.zeros((streams, hidden_size), np.float32) for _ in range(num_layers * carried)]
    return [tuple(zeros[i : i + carried]) for i in range(0, len(zeros), carried)]


def rows_of(state: State, streams: Sequence[int]) -> State:
    """A copy for the named streams, in that order; one may be named several times."""
    return [tuple(vectors[streams] for vectors in layer) for layer in state]


def joined(states: Sequence[State]) -> State:
    """Several states' streams as those of one."""
    return [
        tuple(np.concatenate(vectors) for vectors in zip(*layers, strict=True))
        for layers in zip(*states, strict=True)
    ]
