"""Rows of a text, run side by side through a network, and the loss of each of their characters.

On a CPU each thread takes some of the rows and never waits for the others. One product spread over
all threads would make them meet a hundred times a millisecond, and stand still whenever another
program wants a core.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charrnn.cpu import torch_threads
from charrnn.data import SplitIds
from charrnn.evaluation.losses import losses_of
from charrnn.network import State
from charrnn.network_ensemble import AnyNetwork, is_normalized

CHUNK = 64  # columns that are run at once
LOGITS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Block:
    """Some columns of some rows, scored.

    Attributes:
        column: the first of them.
        places: (R, C), of the characters that are predicted, in the text.
        losses: (R, C), float32.
        is_scored: (R, C), whether a character is one of its row and of the text.
        logits: (R, C, V).
    """

    column: int
    places: npt.NDArray[np.int64]
    losses: npt.NDArray[np.float32]
    is_scored: npt.NDArray[np.bool_]
    logits: Tensor

    @property
    def total(self) -> float:
        return float(self.losses[self.is_scored].sum(dtype=np.float64))


def read_rows(
    network: AnyNetwork, ids: SplitIds, starts: npt.NDArray[Any], columns: range, scored: range
) -> Iterator[Block]:
    """Run rows from the zero state, and yield their blocks in order.

    Args:
        starts: (R,), the place of each row's column 0, from which it predicts the next character.
        columns: in steps of a chunk; those below 0 lead in, unscored. A row that starts where the
            text does has nothing before it, and is at the zero state again in column 0.
        scored: the places of the characters that are, as far as the rows predict them.
    """
    device, state = next(network.parameters()).device, None
    for column in columns:
        stop = min(column + columns.step, columns.stop)
        places = starts[:, None] + np.arange(column, stop + 1)
        block = torch.from_numpy(ids.convert(ids.stored[places.clip(0, scored[-1])])).to(device)
        if column == 0 and starts[0] == 0 and state is not None:
            state = _first_at_zero(state)
        logits, state = network(block[:, :-1], state)
        losses = losses_of(logits, block[:, 1:], normalized=is_normalized(network))
        predicted = places[:, 1:]
        is_scored = (predicted >= scored.start) & (predicted < scored.stop)
        is_scored[:, : max(0, -column)] = False
        yield Block(column, predicted, losses.cpu().numpy(), is_scored, logits)


def _first_at_zero(state: State) -> State:
    return [tuple(torch.cat([torch.zeros_like(p[:1]), p[1:]]) for p in layer) for layer in state]


def columns_at_once(rows: int, vocabulary_size: int) -> int:
    """How many characters of each of several rows are run together: a power of 2."""
    most = max(1, min(CHUNK, LOGITS_AT_ONCE // (rows * vocabulary_size)))
    return 1 << (most.bit_length() - 1)


def side_by_side(tasks: Sequence[Iterable[float]]) -> float:
    """Run through iterators, each in one thread of its own; the sum of all that they yield.

    A single one has one, too: torch's threads would wait for one another at each of its small
    products, on a machine with other work for minutes.
    """
    stopped = threading.Event()

    def run(task: Iterable[float]) -> float:
        total = 0.0
        with torch.inference_mode():
            for part in task:
                total += part
                if stopped.is_set():
                    break
        return total

    futures = [torch_threads(len(tasks)).submit(run, task) for task in tasks]
    try:
        return sum(future.result() for future in futures)
    finally:
        stopped.set()  # an interrupt reaches the main thread only
        wait(futures)


@contextmanager
def evaluating(network: AnyNetwork) -> Iterator[None]:
    """Have a network in evaluation mode, and then in its own again."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
