"""The loss of a text as one stream, for validation, `charrnn evaluate` and `Model.score`.

The loss of n characters is the mean of -ln p(character | all previous characters) over all
characters but the first, in nats, computed as one stream from the zero state.

A single stream would use only a fraction of the machine. So a long text is cut into rows that run
in parallel. Each row but the first reads `WARM_UP` characters before its first counted one. This is
within 1e-4 nats per character of one stream for the networks that people train. A network built to
remember thousands of characters, such as an LSTM with forget gates near 1, loses this memory at the
start of each row.

`compute_window_loss` evaluates a network as nanoGPT evaluates a transformer: in windows of N
characters, without the text before the window. Its results are comparable with transformers'.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F
from tqdm import tqdm

from charrnn.data import Ids, SplitIds
from charrnn.networks.network import AnyNetwork, State
from charrnn.networks.precision import set_float32_precision
from charrnn.processors import get_torch_pool
from charrnn.say import BITS_PER_NAT

WARM_UP = 2048  # the characters that a row reads before its first counted one
CHUNK = 256  # the most columns of a network call
LOGITS_AT_ONCE = 1 << 21  # the most logits of a network call
# Fewer rows repeat fewer characters, but use a processor less. On a CPU, a column of R rows takes
# the time of R + 4 single rows (2 x 128 and 2 x 256); a GPU is faster with many rows.
SHORTEST_ROW, SHORTEST_ROW_ON_GPU = 4096, 1024  # counted characters
ROWS_PER_THREAD, ROWS_ON_GPU = 24, 1024  # the most rows
PROGRESS_DELAY = 2.0  # seconds before a terminal shows the progress


@dataclass(frozen=True)
class Score:
    """The summed loss of a text in nats, over its predicted `characters`."""

    total: float
    characters: int

    @property
    def loss(self) -> float:
        """The mean loss, in nats per character."""
        return self.total / self.characters

    def to_dict(self) -> dict[str, float]:
        """Return the mean loss in all units, under the keys of the commands' JSON."""
        bits, perplexity = float(self.loss * BITS_PER_NAT), float(np.exp(self.loss))
        return {"loss": self.loss, "bits_per_character": bits, "perplexity": perplexity}


def compute_stream_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    rank: int = 0,
    world_size: int = 1,
    *,
    threads: int | None = None,
    losses: npt.NDArray[np.float32] | None = None,
    logits: npt.NDArray[np.float16] | None = None,
) -> Score:
    """Return the loss of a text as one stream from the zero state, on the network's device.

    The network's training mode is restored. No random number is drawn.

    Args:
        ids: the text (n,), n >= 2; ids count from 0.
        rank, world_size: score only this rank's part of the text. The parts are equal.
        threads: the CPU threads; torch's setting by default.
        losses: an array (P,) that is filled with the losses of the first P predicted characters of
            the text, as far as they are in this part.
        logits: an array (P, V) that is filled with their logits, minus the largest logit. float16
            saves memory, and changes a loss by some millionths of a nat.
    """
    first, last = ((len(ids) - 1) * part // world_size for part in (rank, rank + 1))
    count, start = last - first, max(0, first - WARM_UP)
    if not count:
        return Score(0.0, 0)
    on_cpu, threads = _count_threads(network, threads)
    shortest = SHORTEST_ROW if on_cpu else SHORTEST_ROW_ON_GPU
    most = ROWS_PER_THREAD * threads if on_cpu else ROWS_ON_GPU
    num_rows = max(1, min(most, count // shortest))
    num_rows -= num_rows % min(threads, num_rows)  # equally many per thread
    # Each row reads WARM_UP characters and its share of the rest. Only the first row counts both.
    length = -(-max(0, last - start - WARM_UP) // num_rows)
    starts = start + length * np.arange(num_rows)
    counted = np.append(first, starts[1:] + WARM_UP)
    columns = _cut_columns(network, num_rows, min(WARM_UP + length, last - start))
    tasks = [
        _score_rows(network, ids, starts[rows], counted[rows], last, columns, losses, logits)
        for rows in np.array_split(np.arange(num_rows), min(threads, num_rows))
    ]
    return _sum_in_threads(network, tasks, len(columns), count, rank)


def compute_window_loss(network: AnyNetwork, ids: Ids | SplitIds, window: int) -> Score:
    """Return the mean loss of all characters but the first, in independent windows.

    Window k reads the characters kN to kN + N - 1 from the zero state and predicts the characters
    kN + 1 to kN + N. The last window may be shorter. The network's training mode is restored. No
    random number is drawn.

    Args:
        ids: the text (n,), n >= 2; ids count from 0.
        window: N, 1 or more.
    """
    count = len(ids) - 1
    on_cpu, threads = _count_threads(network)
    starts = np.arange(0, count, window)
    most = ROWS_PER_THREAD if on_cpu else ROWS_ON_GPU
    batch_size = max(1, min(most, -(-len(starts) // threads)))
    columns = _cut_columns(network, batch_size, min(window, count))
    batches = [starts[first : first + batch_size] for first in range(0, len(starts), batch_size)]

    def score(batches: Sequence[npt.NDArray[np.int64]]) -> Iterator[float]:
        for batch in batches:
            yield from _score_rows(network, ids, batch, batch, count, columns)

    tasks = [score(batches[thread::threads]) for thread in range(min(threads, len(batches)))]
    return _sum_in_threads(network, tasks, len(batches[::threads]) * len(columns), count)


def _count_threads(network: AnyNetwork, threads: int | None = None) -> tuple[bool, int]:
    """Return whether the network is on a CPU, and the number of threads that use it."""
    on_cpu = next(network.parameters()).device.type == "cpu"
    return on_cpu, (threads or torch.get_num_threads()) if on_cpu else 1


def _cut_columns(network: AnyNetwork, num_rows: int, length: int) -> range:
    """Return the first columns of the calls on rows of this length. The step is a power of 2."""
    vocabulary_size = network.architecture.vocabulary_size
    limit = max(1, min(CHUNK, LOGITS_AT_ONCE // (num_rows * vocabulary_size)))
    return range(0, length, 1 << (limit.bit_length() - 1))


def _score_rows(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    starts: npt.NDArray[np.int64],
    counted: npt.NDArray[np.int64],
    last: int,
    columns: range,
    losses: npt.NDArray[np.float32] | None = None,
    logits: npt.NDArray[np.float16] | None = None,
) -> Iterator[float]:
    """Run R rows of a text from the zero state, and yield the summed loss of each block of columns.

    Args:
        starts: the position (R,) at which each row starts.
        counted: the position (R,) after which the losses of each row count.
        last: the last position whose loss counts.
        columns: the first column of each block; the step is the size of a block.
        losses, logits: see `compute_stream_loss`.
    """
    device = next(network.parameters()).device
    state: State | None = None
    for column in columns:
        stop = min(column + columns.step, columns.stop)
        positions = starts[:, None] + np.arange(column, stop + 1)
        block = torch.from_numpy(ids[positions.clip(max=last)].astype(np.int64, copy=False))
        block, predicted = block.to(device), positions[:, 1:]
        all_logits, state = network(block[:, :-1], state)
        is_counted = (predicted > counted[:, None]) & (predicted <= last)
        place = tuple(torch.from_numpy(indices).to(device) for indices in np.nonzero(is_counted))
        counted_logits, targets = all_logits[place].float(), block[:, 1:][place]  # (K, V), (K,)
        log_probs = F.log_softmax(counted_logits, -1)
        values = F.nll_loss(log_probs, targets, reduction="none").cpu().numpy()
        predicted = predicted[is_counted]
        if losses is not None:
            is_wanted = predicted <= len(losses)
            losses[predicted[is_wanted] - 1] = values[is_wanted]
        if logits is not None:
            is_wanted = predicted <= len(logits)
            wanted = counted_logits[torch.from_numpy(is_wanted)]
            # float16 is most precise near 0, so the largest logit becomes 0.
            wanted -= wanted.amax(-1, keepdim=True)
            logits[predicted[is_wanted] - 1] = wanted.half().cpu().numpy()
        yield float(values.sum(dtype=np.float64))


def _sum_in_threads(
    network: AnyNetwork, tasks: list[Iterator[float]], num_blocks: int, count: int, rank: int = 0
) -> Score:
    """Run each iterator in a thread in which torch uses one core, and return the summed loss.

    If all threads shared each matrix product instead, they would synchronize a hundred times per
    millisecond, and stall when another program needs a core. So a single iterator also runs in
    such a thread.

    Args:
        num_blocks: the blocks of the first iterator, which shows the progress of rank 0.
        count: the number of scored characters.
    """
    stopped = threading.Event()
    hidden = rank > 0 or None  # None: unless standard error is a terminal
    tasks[0] = tqdm(tasks[0], "scoring", num_blocks, False, delay=PROGRESS_DELAY, disable=hidden)

    def run(task: Iterator[float]) -> float:
        with torch.inference_mode():
            return sum(itertools.takewhile(lambda _: not stopped.is_set(), task))

    pool = get_torch_pool(len(tasks))
    with use_eval_mode(network):
        futures = [pool.submit(run, task) for task in tasks]
        try:
            total = sum(future.result() for future in futures)
        finally:
            stopped.set()  # only the main thread receives the exception of a signal
            wait(futures)
    return Score(total, count)


@contextmanager
def use_eval_mode(network: AnyNetwork) -> Iterator[None]:
    """Put a network into evaluation mode, without TF32, and restore its mode afterwards."""
    was_training = network.training
    network.eval()
    try:
        with set_float32_precision(tf32=False):
            yield
    finally:
        network.train(was_training)
