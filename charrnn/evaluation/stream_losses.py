"""The loss of a stream of text: for validation, `evaluate` and `Model.score` alike.

The loss of n characters is that of one stream from the zero state: the mean of
-ln p(character | all before it) over every character but the first, in nats.

One stream alone would use a fraction of the machine. So the text is cut into rows that run side by
side, each of which begins some characters early, unscored. That this is early enough is not
assumed but seen: the characters before a row are scored by the row before it, too, which has read
thousands more. Where the two losses differ, the network remembers longer, and the text is run as
one row.

A transformer that is asked for its loss in windows of N characters, as nanoGPT is, knows nothing of
what stands before a window. `windows_loss` is the same for a recurrent network, so that the two can
stand in one table.

On a CPU each thread takes some of the rows and never waits for the others. One product spread over
all threads would make them synchronise a hundred times a millisecond, and stand still whenever
another program wants a core.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score
from charrnn.generation.library_threads import torch_threads
from charrnn.networks.ensemble import AnyNetwork
from charrnn.networks.network import State

CHUNK = 64  # columns that are run at once
LOGITS_AT_ONCE = 1 << 21
ROWS_PER_THREAD = 32
ROWS_ON_GPU = 512
SHORTEST_ROW = 2048
MIN_ROWS_PER_THREAD = 2
WARM_UP = 1024  # characters run unscored before a row, a multiple of a chunk; 256 are often too few
TOLERANCE = 1e-5  # nats per character
WINDOWS_TOGETHER = 64
WINDOWS_TOGETHER_ON_GPU = 1024

Report = Callable[[int, int], None]


def compute_stream_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    *,
    threads: int | None = None,
    report: Report | None = None,
    losses: npt.NDArray[np.float32] | None = None,
) -> Score:
    """The loss of a text as one stream from the zero state, on the network's own device.

    The network's mode is put back; no random number is drawn.

    Args:
        ids: (n,) from 0, n >= 2.
        threads: of a CPU; by default as many as torch is set to.
        report: called with the characters done and the characters in all.
        losses: (n - 1,), filled with the loss of each character but the first.

    Raises:
        ValueError: there is nothing to predict.
    """
    if len(ids) < 2:
        raise ValueError("a loss needs at least 2 characters")
    total = compute_rank_loss(network, ids, 0, 1, threads=threads, report=report, losses=losses)
    return Score(total / (len(ids) - 1), len(ids) - 1)


def _as_split(ids: Ids | SplitIds) -> SplitIds:
    return SplitIds(np.ascontiguousarray(ids)) if isinstance(ids, np.ndarray) else ids


def compute_rank_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    rank: int,
    world_size: int,
    *,
    threads: int | None = None,
    report: Report | None = None,
    losses: npt.NDArray[np.float32] | None = None,
    logits: npt.NDArray[np.float16] | None = None,
) -> float:
    """The summed loss of one process's part of a text; those of all are that of the text.

    The parts are of equal length, in the order of the ranks.

    Args:
        ids, threads, report: as `stream_loss` takes them; report counts this part's characters.
        losses: filled with the loss of each character of this part.
        logits: (P, V), filled with those of the first P characters that the text predicts, the
            largest of each 0, as far as this part has them. 16 bits are for the memory: they change
            a loss by some millionths of a nat.
    """
    ids = _as_split(ids)
    first, last = ((len(ids) - 1) * part // world_size for part in (rank, rank + 1))
    if first == last:
        return 0.0
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = (threads or torch.get_num_threads()) if on_cpu else 1
    most = ROWS_PER_THREAD * threads if on_cpu else ROWS_ON_GPU
    rows = min(most, (last - first) // SHORTEST_ROW)
    scored, report = range(first + 1, last + 1), report or (lambda done, total: None)
    with evaluating(network):
        if rows > 1:
            total, difference = _score_in_rows(
                network, ids, scored, rows, threads, report, losses, logits
            )
            if not difference > TOLERANCE:  # it is no number where the losses are none
                return total
        return _score_in_rows(network, ids, scored, 1, 1, report, losses, logits)[0]


def _score_in_rows(
    network: AnyNetwork,
    ids: SplitIds,
    scored: range,
    rows: int,
    threads: int,
    report: Report,
    losses: npt.NDArray[np.float32] | None,
    logits: npt.NDArray[np.float16] | None,
) -> tuple[float, float]:
    """The summed loss of the characters at some places, in rows; a single one begins at place 0.

    Returns:
        The loss, and the difference, in nats per character, between those that two rows have of the
        same characters: the last ones of each row, which lead in to the next.
    """
    chunk = columns_at_once(rows, network.architecture.vocabulary_size)
    if rows == 1:
        starts, columns = np.zeros(1, np.int64), range(0, scored[-1], chunk)
    else:
        length = -(-len(scored) // (rows * chunk)) * chunk
        starts, columns = (
            np.arange(scored[0] - 1, scored[-1], length),
            range(-WARM_UP, length, chunk),
        )
    of_warm_up, of_end = np.zeros((2, len(starts), chunk), np.float32)

    def score(span: slice) -> Iterator[float]:
        for block in read_rows(network, ids, starts[span], columns, scored):
            after = block.column + chunk
            if after == 0:
                of_warm_up[span] = block.losses
            elif after == columns.stop:
                of_end[span] = block.losses
            if losses is not None:
                losses[block.places[block.is_scored] - scored[0]] = block.losses[block.is_scored]
            if logits is not None:
                wanted = block.is_scored & (block.places <= len(logits))
                these = block.logits[torch.from_numpy(wanted)].float()
                # near 0, where 16 bits are dense, the likeliest most of all
                likeliest = these.amax(-1, keepdim=True)
                logits[block.places[wanted] - 1] = (these - likeliest).half().cpu().numpy()
            if span.start == 0 and after > 0:
                report(min(after * len(scored) // columns.stop, len(scored)), len(scored))
            yield block.total

    parts = max(1, min(threads, len(starts) // MIN_ROWS_PER_THREAD))
    cuts = [len(starts) * part // parts for part in range(parts + 1)]
    total = side_by_side([score(slice(*pair)) for pair in itertools.pairwise(cuts)])
    report(len(scored), len(scored))
    return total, float(np.abs(of_end[:-1] - of_warm_up[1:]).mean()) if rows > 1 else 0.0


def compute_window_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    window: int,
    *,
    report: Report | None = None,
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
    ids, count = _as_split(ids), len(ids) - 1
    if count < 1:
        raise ValueError("a loss needs at least 2 characters")
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = torch.get_num_threads() if on_cpu else 1
    starts = np.arange(0, count, window)
    most = WINDOWS_TOGETHER if on_cpu else WINDOWS_TOGETHER_ON_GPU
    together = max(1, min(most, -(-len(starts) // threads)))
    chunk = columns_at_once(together, network.architecture.vocabulary_size)
    columns = range(0, min(window, count), chunk)
    groups = [starts[at : at + together] for at in range(0, len(starts), together)]

    def score(part: int) -> Iterator[float]:
        for number, group in enumerate(groups[part::threads]):
            for block in read_rows(network, ids, group, columns, range(1, count + 1)):
                yield block.total
            if part == 0 and report is not None:
                report(min(count, (number + 1) * threads * together * window), count)

    with evaluating(network):
        total = side_by_side([score(part) for part in range(min(threads, len(groups)))])
    if report is not None:
        report(count, count)
    return Score(total / count, count)


class Block(NamedTuple):
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
    network: AnyNetwork, ids: SplitIds, starts: npt.NDArray[np.int64], columns: range, scored: range
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
        log_p = F.log_softmax(logits.float(), -1).flatten(0, 1)
        losses = F.nll_loss(log_p, block[:, 1:].flatten(), reduction="none").view(len(block), -1)
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
