"""The loss of a text as one stream, for validation, `charrnn evaluate` and `Model.score`.

The loss of n characters is the mean of -ln p(character | all previous characters) over all
characters but the first, in nats, computed as one stream from the zero state.

A single stream would use only a fraction of the machine. So the text is cut into rows that run in
parallel. Each row starts `WARM_UP` characters early, and these are not counted. Whether this is
early enough is measured: a row is also continued from the state in which the previous row ended,
which has read thousands of characters more. If the losses differ, the network remembers longer.
Then the new losses are counted, up to the character at which they agree with the old ones.

`compute_window_loss` evaluates a network as nanoGPT evaluates a transformer: in windows of N
characters, without the text before the window. Its results are comparable with transformers'.

On a CPU, each thread runs some of the rows. If all threads shared each matrix product instead, they
would synchronize a hundred times per millisecond, and stall when another program needs a core.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score
from charrnn.generation.library_threads import get_torch_pool
from charrnn.networks.ensemble import AnyNetwork
from charrnn.networks.float32 import set_float32_precision
from charrnn.networks.network import State, concat_states, slice_state

CHUNK = 64  # the most columns of a network call
LOGITS_AT_ONCE = 1 << 21  # the most logits of a network call
ROWS_PER_THREAD = 32
ROWS_ON_GPU = 512
SHORTEST_ROW = 2048  # characters
MIN_ROWS_PER_THREAD = 2
WARM_UP = 1024  # uncounted characters before a row, a multiple of `CHUNK`; 256 are often too few
TOLERANCE = 1e-5  # nats per character
MAX_CONTINUATIONS = 16  # each lets the rows depend on one more previous row
REPORT_INTERVAL = 0.5  # seconds
MAX_WINDOWS = 64  # of a network call on a CPU
MAX_WINDOWS_ON_GPU = 1024

Report = Callable[[int, int], None]


def compute_stream_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    *,
    threads: int | None = None,
    report: Report = lambda done, total: None,
    losses: npt.NDArray[np.float32] | None = None,
) -> Score:
    """Return the loss of a text as one stream from the zero state, on the network's device.

    The network's training mode is restored. No random number is drawn.

    Args:
        ids: the text (n,), n >= 2; ids count from 0.
        threads: the CPU threads; torch's setting by default.
        report: called with the characters done and the total characters.
        losses: an array (n - 1,) that is filled with the loss of each character but the first.
    """
    total = compute_rank_loss(network, ids, 0, 1, threads=threads, report=report, losses=losses)
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
        ids, threads, report: see `compute_stream_loss`; report counts the characters of this part.
        losses: an array (P,) that is filled with the losses of the first P predicted characters of
            the text, as far as they are in this part.
        logits: an array (P, V) that is filled with their logits, minus the largest logit. float16
            saves memory, and changes a loss by some millionths of a nat.
    """
    first, last = ((len(ids) - 1) * part // world_size for part in (rank, rank + 1))
    scored, total = range(first + 1, last + 1), 0.0
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = (threads or torch.get_num_threads()) if on_cpu else 1
    max_rows = ROWS_PER_THREAD * threads if on_cpu else ROWS_ON_GPU
    num_rows = max(1, min(max_rows, len(scored) // SHORTEST_ROW))
    if scored:
        rows = _Rows(network, ids, scored, num_rows, threads, losses, logits)
        with use_eval_mode(network), set_float32_precision(tf32=False):
            total = rows.score(lambda: report(rows.num_done, len(scored)))
    report(len(scored), len(scored))
    return total


class _Rows:
    """A part of a text, cut into rows. Threads score groups of rows.

    A single row starts at position 0 of the text.

    Args:
        scored: the positions of the characters of the part.
        losses, logits: see `compute_rank_loss`.

    Attributes:
        num_done: the scored characters, less than all of them.
    """

    def __init__(
        self,
        network: AnyNetwork,
        ids: Ids | SplitIds,
        scored: range,
        num_rows: int,
        threads: int,
        losses: npt.NDArray[np.float32] | None,
        logits: npt.NDArray[np.float16] | None,
    ) -> None:
        self.network, self.ids, self.scored = network, ids, scored
        self.losses, self.logits = losses, logits
        self.num_done = 0
        chunk = choose_chunk_size(num_rows, network.architecture.vocabulary_size)
        self.starts, self.columns = np.zeros(1, np.int64), range(0, scored[-1], chunk)
        if num_rows > 1:
            length = -(-len(scored) // (num_rows * chunk)) * chunk
            # The first row of a later rank continues an uncounted row.
            start = scored[0] - 1 - (length if scored[0] > 1 else 0)
            self.starts = np.arange(start, scored[-1], length)
            self.columns = range(-WARM_UP, length, chunk)
        num_groups = max(1, min(threads, len(self.starts) // MIN_ROWS_PER_THREAD))
        bounds = [len(self.starts) * i // num_groups for i in range(num_groups + 1)]
        self.groups = [_Group(slice(*pair)) for pair in itertools.pairwise(bounds)]

    def score(self, report: Callable[[], None]) -> float:
        """Return the summed loss. Call `report` regularly."""
        total = sum_in_threads([self._score_group(group) for group in self.groups], report)
        for _ in range(MAX_CONTINUATIONS if len(self.starts) > 1 else 0):
            first = concat_states([group.first for group in self.groups])
            last = concat_states([group.last for group in self.groups])
            # The first row has no previous row.
            previous = concat_states([slice_state(first, slice(1)), slice_state(last, slice(-1))])
            total += sum_in_threads([self._continue(g, previous) for g in self.groups], report)
            if all(group.agrees for group in self.groups):
                break
        return total

    def _score_group(self, group: _Group) -> Iterator[float]:
        """Yield the loss of each block, and keep the states before column 0 and at the end."""
        starts, columns = self.starts[group.rows], self.columns
        for block in score_rows(self.network, self.ids, starts, columns, self.scored):
            if block.end_column == 0:
                group.first = block.state
            if group.rows.start == 0 and block.end_column > 0:
                share = min(block.end_column, columns.stop) / columns.stop
                self.num_done = int(share * (len(self.scored) - 1))
            self._store(block)
            yield block.total
        group.last = block.state

    def _continue(self, group: _Group, previous: State) -> Iterator[float]:
        """Yield the change in loss of each block if the rows continue the `previous` states."""
        state = slice_state(previous, group.rows)
        starts, columns = self.starts[group.rows], range(0, self.columns.stop, self.columns.step)
        old_blocks, new_blocks = (
            score_rows(self.network, self.ids, starts, columns, self.scored, each)
            for each in (group.first, state)
        )
        group.first, group.agrees, last_difference = state, True, -WARM_UP
        for old, new in zip(old_blocks, new_blocks, strict=True):
            if np.abs(new.losses - old.losses).mean() > TOLERANCE:  # not true for NaN
                last_difference = new.end_column
            elif new.end_column - last_difference > WARM_UP:
                return
            self._store(new)
            yield new.total - old.total
        group.last, group.agrees = new.state, False

    def _store(self, block: ScoredBlock) -> None:
        """Fill the arrays of losses and logits."""
        if self.losses is not None:
            is_wanted = block.is_scored & (block.positions <= len(self.losses))
            self.losses[block.positions[is_wanted] - 1] = block.losses[is_wanted]
        if self.logits is not None:
            is_wanted = block.is_scored & (block.positions <= len(self.logits))
            logits = block.logits[torch.from_numpy(is_wanted)].float()
            # float16 is most precise near 0, so the largest logit becomes 0.
            logits -= logits.amax(-1, keepdim=True)
            self.logits[block.positions[is_wanted] - 1] = logits.half().cpu().numpy()


@dataclass
class _Group:
    """The rows that a thread scores."""

    rows: slice
    first: State = field(default_factory=list)  # the states of the rows before column 0
    last: State = field(default_factory=list)  # the states at their ends
    agrees: bool = False  # whether their ends are as if each row had continued the previous row


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

    done = 0

    def score(thread: int) -> Iterator[float]:
        nonlocal done
        for batch in batches[thread::threads]:
            if thread == 0:
                done = int(batch[0])
            for block in score_rows(network, ids, batch, columns, range(1, count + 1)):
                yield block.total

    with use_eval_mode(network), set_float32_precision(tf32=False):
        tasks = [score(thread) for thread in range(min(threads, len(batches)))]
        total = sum_in_threads(tasks, lambda: report(done, count))
    report(count, count)
    return Score(total / count, count)


class ScoredBlock(NamedTuple):
    """The scores of C consecutive columns of R rows."""

    end_column: int  # the column after the last one
    positions: npt.NDArray[np.int64]  # the position (R, C) of each predicted character in the text
    losses: npt.NDArray[np.float32]  # the loss (R, C) of each character, float32
    # whether the loss (R, C) counts; not in the warm-up and past the end
    is_scored: npt.NDArray[np.bool_]
    logits: Tensor  # (R, C, V)
    state: State  # the state of the network after the block

    @property
    def total(self) -> float:
        return float(self.losses[self.is_scored].sum(dtype=np.float64))


def score_rows(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    starts: npt.NDArray[np.int64],
    columns: range,
    scored: range,
    state: State | None = None,
) -> Iterator[ScoredBlock]:
    """Run rows, and yield their blocks in order.

    Args:
        starts: the position (R,) of each row's column 0, which predicts the next character.
        columns: the first column of each block; its step is the size of a block. Columns below 0
            are the warm-up. The row at the start of the text has no text for a warm-up, so its
            state is set to zero again in column 0.
        scored: the positions of the characters whose losses count.
        state: the state before the first column; by default the zero state.
    """
    device = next(network.parameters()).device
    for column in columns:
        stop = min(column + columns.step, columns.stop)
        positions = starts[:, None] + np.arange(column, stop + 1)
        block_ids = ids[positions.clip(0, scored[-1])].astype(np.int64, copy=False)
        block = torch.from_numpy(block_ids).to(device)
        if column == 0 and starts[0] == 0 and state is not None:
            state = _reset_first_row(state)
        logits, state = network(block[:, :-1], state)
        log_probs = F.log_softmax(logits.float(), -1).flatten(0, 1)
        targets = block[:, 1:].flatten()
        losses = F.nll_loss(log_probs, targets, reduction="none").view(len(block), -1).cpu().numpy()
        predicted = positions[:, 1:]
        is_scored = (predicted >= scored.start) & (predicted < scored.stop)
        is_scored[:, : max(0, -column)] = False
        yield ScoredBlock(column + columns.step, predicted, losses, is_scored, logits, state)


def _reset_first_row(state: State) -> State:
    return [tuple(torch.cat([torch.zeros_like(p[:1]), p[1:]]) for p in layer) for layer in state]


def choose_chunk_size(rows: int, vocabulary_size: int) -> int:
    """Return the number of columns of a network call on `rows` rows: a power of 2."""
    limit = max(1, min(CHUNK, LOGITS_AT_ONCE // (rows * vocabulary_size)))
    return 1 << (limit.bit_length() - 1)


def sum_in_threads(tasks: Sequence[Iterable[float]], report: Callable[[], None]) -> float:
    """Run each iterator in a thread, and return the sum of all values.

    A single iterator also runs in a thread, with one torch thread: several torch threads would
    wait for each other in each small product, on a busy machine for minutes.

    Args:
        report: called in this thread every `REPORT_INTERVAL`; its exception ends the threads.
    """
    stopped = threading.Event()

    def run(task: Iterable[float]) -> float:
        total = 0.0
        with torch.inference_mode():
            for value in task:
                total += value
                if stopped.is_set():
                    break
        return total

    futures = [get_torch_pool(len(tasks)).submit(run, task) for task in tasks]
    try:
        for future in futures:
            while not wait([future], REPORT_INTERVAL).done:
                report()
        return sum(future.result() for future in futures)
    finally:
        stopped.set()  # only the main thread receives KeyboardInterrupt
        wait(futures)


@contextmanager
def use_eval_mode(network: AnyNetwork) -> Iterator[None]:
    """Put a network into evaluation mode, and restore its mode afterwards."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
