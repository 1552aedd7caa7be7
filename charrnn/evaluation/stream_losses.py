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
from charrnn.networks.ensemble import AnyNetwork
from charrnn.networks.network import State, concat_states, slice_state
from charrnn.networks.precision import set_float32_precision
from charrnn.processors import get_torch_pool

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
    scored, total = range(first + 1, last + 1), 0.0
    if scored:
        on_cpu = next(network.parameters()).device.type == "cpu"
        threads = (threads or torch.get_num_threads()) if on_cpu else 1
        max_rows = ROWS_PER_THREAD * threads if on_cpu else ROWS_ON_GPU
        num_rows = max(1, min(max_rows, len(scored) // SHORTEST_ROW))
        chunk = choose_chunk_size(num_rows, network.architecture.vocabulary_size)
        starts, columns = np.zeros(1, np.int64), range(0, last, chunk)  # the whole text as one row
        if num_rows > 1:
            length = -(-len(scored) // (num_rows * chunk)) * chunk
            # The first row of a later rank continues an uncounted row.
            starts = np.arange(first - (length if first else 0), last, length)
            columns = range(-WARM_UP, length, chunk)
        num_groups = max(1, min(threads, len(starts) // MIN_ROWS_PER_THREAD))
        bounds = [len(starts) * i // num_groups for i in range(num_groups + 1)]
        groups = [
            _Rows(network, ids, scored, starts[slice(*pair)], columns, losses, logits)
            for pair in itertools.pairwise(bounds)
        ]
        with use_eval_mode(network):
            total = _score_groups(groups, lambda: report(groups[0].num_done, len(scored)))
    report(len(scored), len(scored))
    return total


def _score_groups(groups: list[_Rows], report: Callable[[], None]) -> float:
    """Return the summed loss of groups of rows, each in a thread. Call `report` regularly."""
    total = sum_in_threads([group.score() for group in groups], report)
    sizes = [len(group.starts) for group in groups]
    parts = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes), strict=True)]
    for _ in range(MAX_CONTINUATIONS if sum(sizes) > 1 else 0):
        first_row = slice_state(groups[0].first, slice(1))  # has no previous row
        last = concat_states([group.last for group in groups])
        previous = concat_states([first_row, slice_state(last, slice(-1))])
        states = [slice_state(previous, part) for part in parts]
        tasks = [group.rescore(state) for group, state in zip(groups, states, strict=True)]
        total += sum_in_threads(tasks, report)
        if all(group.agrees for group in groups):
            break
    return total


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


@dataclass
class _Rows:
    """Rows of a text that a thread scores."""

    network: AnyNetwork
    ids: Ids | SplitIds
    scored: range  # the positions of the characters whose losses count
    starts: npt.NDArray[np.int64]  # the position (R,) of column 0, which predicts the next one
    # the first column of each block; the step is the size of a block. Columns below 0 are the
    # warm-up.
    columns: range
    losses: npt.NDArray[np.float32] | None = None  # see `compute_rank_loss`
    logits: npt.NDArray[np.float16] | None = None
    first: State = field(default_factory=list)  # the states before column 0
    last: State = field(default_factory=list)  # the states at the ends of the rows
    agrees: bool = False  # whether the ends are as if each row had continued the previous row
    num_done: int = 0  # characters, if all groups are as far as this one; less than all

    def score(self) -> Iterator[float]:
        """Yield the loss of each block, and keep the states before column 0 and at the end."""
        for block in self.read_blocks(self.columns):
            if block.end_column == 0:
                self.first = block.state
            share = max(0, min(block.end_column / self.columns.stop, 1))
            self.num_done = int(share * (len(self.scored) - 1))
            self._store(block)
            yield block.total
        self.last = block.state

    def rescore(self, state: State) -> Iterator[float]:
        """Yield the change in loss of each block if the rows continue from another state."""
        columns = range(0, self.columns.stop, self.columns.step)
        old_blocks, new_blocks = (self.read_blocks(columns, each) for each in (self.first, state))
        self.first, self.agrees, last_difference = state, True, -WARM_UP
        for old, new in zip(old_blocks, new_blocks, strict=True):
            if np.abs(new.losses - old.losses).mean() > TOLERANCE:  # not true for NaN
                last_difference = new.end_column
            elif new.end_column - last_difference > WARM_UP:
                return
            self._store(new)
            yield new.total - old.total
        self.last, self.agrees = new.state, False

    def read_blocks(self, columns: range, state: State | None = None) -> Iterator[ScoredBlock]:
        """Run the rows over some columns, from the zero state by default, and yield the blocks.

        The row at the start of the text has no text for a warm-up, so its state is set to zero
        again in column 0.
        """
        device = next(self.network.parameters()).device
        for column in columns:
            stop = min(column + columns.step, columns.stop)
            positions = self.starts[:, None] + np.arange(column, stop + 1)
            ids = self.ids[positions.clip(0, self.scored[-1])].astype(np.int64, copy=False)
            block = torch.from_numpy(ids).to(device)
            if column == 0 and self.starts[0] == 0 and state is not None:
                state = [
                    tuple(torch.cat([torch.zeros_like(p[:1]), p[1:]]) for p in layer)
                    for layer in state
                ]
            logits, state = self.network(block[:, :-1], state)
            log_probs, targets = F.log_softmax(logits.float(), -1), block[:, 1:]
            losses = F.nll_loss(log_probs.flatten(0, 1), targets.flatten(), reduction="none")
            predicted = positions[:, 1:]
            is_scored = (predicted >= self.scored.start) & (predicted < self.scored.stop)
            is_scored[:, : max(0, -column)] = False
            yield ScoredBlock(
                column + columns.step, predicted, losses.view(targets.shape).cpu().numpy(),
                is_scored, logits, state,
            )  # fmt: skip

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
            rows = _Rows(network, ids, range(1, count + 1), batch, columns)
            yield from rows.score()

    with use_eval_mode(network):
        tasks = [score(thread) for thread in range(min(threads, len(batches)))]
        total = sum_in_threads(tasks, lambda: report(done, count))
    report(count, count)
    return Score(total / count, count)


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
    """Put a network into evaluation mode, without TF32, and restore its mode afterwards."""
    was_training = network.training
    network.eval()
    try:
        with set_float32_precision(tf32=False):
            yield
    finally:
        network.train(was_training)
