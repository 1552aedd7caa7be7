"""The loss of a text in windows that each begin at the zero state.

A transformer that is asked for its loss in windows of N characters, as nanoGPT is, knows
nothing of what stands before a window. This is the same for a recurrent network, so that the
two can stand in one table. What a network carries from one window to the next is its own
advantage, which `charrnn.evaluation.carried` counts. Parts of a text run side by side, one in
each of a CPU's threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score, losses_of, scored_ids
from charrnn.network import State
from charrnn.network_ensemble import AnyNetwork, is_normalized

WINDOWS_TOGETHER = 64
WINDOWS_TOGETHER_ON_GPU = 1024


def windows_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    window: int,
    *,
    report: Callable[[int, int], None] | None = None,
) -> Score:
    """The mean loss of all characters but the first, on the network's own device.

    The text is tiled into windows of `window` predicted characters, the last one shorter.
    Window k predicts the characters kN + 1 to kN + N of those before each within it, the
    first of them of one character alone. The network's mode is put back; no random number
    is drawn.

    Args:
        ids: (n,) from 0, n >= 2.
        window: N, 1 or more.
        report: called with the characters done and the characters in all.

    Raises:
        ValueError: there is nothing to predict.
    """
    ids = scored_ids(ids)
    count = len(ids) - 1
    on_cpu = next(network.parameters()).device.type == "cpu"
    whole, threads = count // window, torch.get_num_threads() if on_cpu else 1
    most = WINDOWS_TOGETHER if on_cpu else WINDOWS_TOGETHER_ON_GPU
    together = max(1, min(most, -(-whole // threads)))
    firsts = range(0, whole, together)
    parts = max(1, min(threads, len(firsts)))
    totals, done = np.zeros(parts), np.zeros(parts, np.int64)

    def run(part: int) -> None:
        for first in firsts[part::parts]:
            rows = range(first, min(first + together, whole))
            totals[part] += _loss(
                network, functools.partial(ids.rows, window, rows), len(rows), window
            )
            done[part] += len(rows) * window
            if part == 0 and report is not None:
                report(int(done.sum()), count)
                ids.release()

    with evaluating(network):
        with side_by_side(parts) as all_of:
            all_of(run)
        rest = count % window
        if rest:
            last = ids[count - rest :][None]
            totals[0] += _loss(network, lambda columns: last[:, columns], 1, rest)
    if report is not None:
        report(count, count)
    return Score(float(totals.sum()) / count, count)


def _loss(network: AnyNetwork, columns: Callable[[slice], Ids], rows: int, length: int) -> float:
    """The summed loss of windows (rows, length + 1), given some of their columns at a time."""
    total = 0.0
    with torch.inference_mode():
        for logits, targets in logits_in_parts(network, columns, rows, length):
            losses = losses_of(logits, targets, normalized=is_normalized(network))
            total += losses.sum(dtype=torch.float64).item()
    return total


def logits_in_parts(
    network: AnyNetwork, columns: Callable[[slice], Ids], rows: int, length: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (rows, C, V) and targets (rows, C) of windows from the zero state, C at a time.

    Args:
        columns: some of the columns of the windows' ids (rows, length + 1).
    """
    device = next(network.parameters()).device
    chunk = columns_at_once(rows, network.architecture.vocabulary_size)
    state: State | None = None
    for start in range(0, length, chunk):
        stop = min(start + chunk, length)
        block = torch.from_numpy(columns(slice(start, stop + 1))).to(device)
        logits, state = network(block[:, :-1], state)
        yield logits, block[:, 1:]


Task = Callable[[int], None]
AllOf = Callable[[Task], None]  # runs a task for each part, given its number

CHUNK = 64  # columns that are run at once
LOGITS_AT_ONCE = 1 << 21


@contextmanager
def side_by_side(parts: int) -> Iterator[AllOf]:
    """Parts run side by side, each in one thread of its own.

    A single part has one, too: it is short, and torch's threads would wait for one another at
    each of its small products, on a machine with other work for minutes.
    """
    with one_thread(), ThreadPoolExecutor(max(1, parts - 1), "evaluation") as pool:

        def all_of(task: Task) -> None:
            others = [pool.submit(task, part) for part in range(1, parts)]
            task(0)
            for other in others:
                other.result()

        yield all_of


def columns_at_once(rows: int, vocabulary_size: int) -> int:
    """Characters of each of several rows that are run together."""
    return max(1, min(CHUNK, LOGITS_AT_ONCE // (rows * vocabulary_size)))


@contextmanager
def evaluating(network: AnyNetwork) -> Iterator[None]:
    """Have a network in evaluation mode, and then in its own again."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread for each operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
