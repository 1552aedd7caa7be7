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

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score
from charrnn.evaluation.threads import sum_in_threads
from charrnn.networks.counted import AnyNetwork
from charrnn.networks.network import State
from charrnn.networks.precision import set_float32_precision

WARM_UP = 2048  # the characters that a row reads before its first counted one
CHUNK = 256  # the most columns of a network call
LOGITS_AT_ONCE = 1 << 21  # the most logits of a network call
# Fewer rows repeat fewer characters, but use a processor less. On a CPU, a column of R rows takes
# the time of R + 4 single rows (2 x 128 and 2 x 256); a GPU is faster with many rows.
SHORTEST_ROW, SHORTEST_ROW_ON_GPU = 4096, 1024  # counted characters
ROWS_PER_THREAD, ROWS_ON_GPU = 24, 1024  # the most rows
MAX_WINDOWS = 64  # of a network call on a CPU
MAX_WINDOWS_ON_GPU = 1024

Report = Callable[[int, int], None]


def compute_stream_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    *,
    report: Report = lambda done, total: None,
    losses: npt.NDArray[np.float32] | None = None,
) -> Score:
    """Return the loss of a text as one stream from the zero state, on the network's device.

    The network's training mode is restored. No random number is drawn.

    Args:
        ids: the text (n,), n >= 2; ids count from 0.
        report: called with the characters done and the total characters.
        losses: an array (n - 1,) that is filled with the loss of each character but the first.
    """
    total = compute_rank_loss(network, ids, 0, 1, report=report, losses=losses)
    return Score(total / (len(ids) - 1), len(ids) - 1)


def compute_rank_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    rank: int,
    world_size: int,
    *,
    threads: int | None = None,
    report: Report = lambda done, total: None,
    losses: npt.NDArray[np.float32] | None = None,
    logits: npt.NDArray[np.float16] | None = None,
) -> float:
    """Return the summed loss of this rank's part of a text. The parts of all ranks are equal.

    Args:
        ids, report: see `compute_stream_loss`; report counts the characters of this part.
        threads: the CPU threads; torch's setting by default.
        losses: an array (P,) that is filled with the losses of the first P predicted characters of
            the text, as far as they are in this part.
        logits: an array (P, V) that is filled with their logits, minus the largest logit. float16
            saves memory, and changes a loss by some millionths of a nat.
    """
    first, last = ((len(ids) - 1) * part // world_size for part in (rank, rank + 1))
    count, start = last - first, max(0, first - WARM_UP)
    if not count:  # This rank reports too, because a report may wait for all ranks.
        report(0, 0)
        return 0.0
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = (threads or torch.get_num_threads()) if on_cpu else 1
    shortest = SHORTEST_ROW if on_cpu else SHORTEST_ROW_ON_GPU
    most = ROWS_PER_THREAD * threads if on_cpu else ROWS_ON_GPU
    num_rows = max(1, min(most, count // shortest))
    num_rows -= num_rows % min(threads, num_rows)  # equally many per thread
    # Each row reads WARM_UP characters and its share of the rest. The first row counts them all.
    length = -(-max(0, last - start - WARM_UP) // num_rows)
    starts = start + length * np.arange(num_rows)
    counted = np.append(first, starts[1:] + WARM_UP)
    chunk = choose_chunk_size(num_rows, network.architecture.vocabulary_size)
    columns = range(0, min(WARM_UP + length, last - start), chunk)
    tasks = [
        score_rows(network, ids, starts[rows], counted[rows], last, columns, losses, logits)
        for rows in np.array_split(np.arange(num_rows), min(threads, num_rows))
    ]
    num_blocks = len(tasks) * len(columns)
    with use_eval_mode(network):
        total = sum_in_threads(tasks, lambda done: report((count - 1) * done // num_blocks, count))
    report(count, count)
    return total


def score_rows(
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
        losses, logits: see `compute_rank_loss`.
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


def compute_window_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    window: int,
    *,
    report: Report = lambda done, total: None,
) -> Score:
    """Return the mean loss of all characters but the first, in independent windows.

    Window k reads the characters kN to kN + N - 1 from the zero state and predicts the characters
    kN + 1 to kN + N. The last window may be shorter. The network's training mode is restored. No
    random number is drawn.

    Args:
        ids: the text (n,), n >= 2; ids count from 0.
        window: N, 1 or more.
        report: called with the characters done and the total characters.
    """
    count = len(ids) - 1
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = torch.get_num_threads() if on_cpu else 1
    starts = np.arange(0, count, window)
    max_windows = MAX_WINDOWS if on_cpu else MAX_WINDOWS_ON_GPU
    batch_size = max(1, min(max_windows, -(-len(starts) // threads)))
    chunk = choose_chunk_size(batch_size, network.architecture.vocabulary_size)
    columns = range(0, min(window, count), chunk)
    batches = [starts[first : first + batch_size] for first in range(0, len(starts), batch_size)]
    num_blocks = len(batches) * len(columns)

    def score(batches: Sequence[npt.NDArray[np.int64]]) -> Iterator[float]:
        for batch in batches:
            yield from score_rows(network, ids, batch, batch, count, columns)

    with use_eval_mode(network):
        tasks = [score(batches[thread::threads]) for thread in range(min(threads, len(batches)))]
        total = sum_in_threads(tasks, lambda done: report((count - 1) * done // num_blocks, count))
    report(count, count)
    return Score(total / count, count)


def choose_chunk_size(rows: int, vocabulary_size: int) -> int:
    """Return the number of columns of a network call on `rows` rows: a power of 2."""
    limit = max(1, min(CHUNK, LOGITS_AT_ONCE // (rows * vocabulary_size)))
    return 1 << (limit.bit_length() - 1)


@contextmanager
def use_eval_mode(network: AnyNetwork) -> Iterator[None]:
    """Put a network into evaluation mode, in float32, and restore its mode afterwards."""
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    try:
        with set_float32_precision(tf32=False), torch.autocast(device.type, enabled=False):
            yield
    finally:
        network.train(was_training)
