"""The loss of a stream of text: for validation, `evaluate` and `Model.score` alike.

The loss of n characters is that of one stream from the zero state: the mean of
-ln p(character | all before it) over every character but the first, in nats.

One stream alone would use a fraction of the machine. The text is cut into R rows that run
side by side, all from the zero state; then the beginning of each is run again, from the
state in which the row before it ended, until that makes no difference any more. How far back
a network remembers is thus not assumed but seen (trained ones agree after a hundred characters
or two); where a whole row does not suffice, the rows are run again.

On a CPU each thread takes some of the rows and never waits for the others. One product
spread over all threads would make them meet a hundred times a millisecond, and stand still
whenever another program wants a core.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score, losses_of, scored_ids
from charrnn.evaluation.windows import AllOf, columns_at_once, evaluating, side_by_side
from charrnn.models.ensemble import Trained
from charrnn.network import State, concat_states, state_rows
from charrnn.network_ensemble import AnyNetwork, any_network_of, is_normalized

ROWS_A_THREAD = 32
ROWS_ON_GPU = 512
SHORTEST_ROW = 2048
LEAST_ROWS_A_THREAD = 2
# another run takes at least so many characters, and ends when it changes the loss of no row by
# more than this (nats per character)
SECOND_RUN = 64
UNCHANGED = 1e-5
RELEASE_EVERY = 64  # chunks
# so many characters before its part are run unscored in each of several processes
LEAD_IN = 4096


def stream_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    *,
    threads: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Score:
    """The loss of a text as one stream from the zero state, on the network's own device.

    The network's mode is put back; no random number is drawn.

    Args:
        ids: (n,) from 0, n >= 2.
        threads: of a CPU; by default as many as torch is set to.
        report: called with the characters done and the characters in all.

    Raises:
        ValueError: there is nothing to predict.
    """
    ids = scored_ids(ids)
    total = part_loss(network, ids, 0, 1, threads=threads, report=report)
    return Score(total / (len(ids) - 1), len(ids) - 1)


def character_losses(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    *,
    threads: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """The loss (n - 1,) of each character of a text but the first, of which the mean is
    `stream_loss`.

    Args, Raises: as those of `stream_loss`.
    """
    ids = scored_ids(ids)
    losses = np.empty(len(ids) - 1, np.float32)
    part_loss(network, ids, 0, 1, threads=threads, report=report, each=losses)
    return losses


def part_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    rank: int,
    world_size: int,
    *,
    threads: int | None = None,
    report: Callable[[int, int], None] | None = None,
    each: npt.NDArray[np.float32] | None = None,
    kept: KeptLogits | None = None,
) -> float:
    """The summed loss of one process's part of a text; those of all are that of the text.

    The parts are of equal length, in the order of the ranks. Each but the first begins in the
    state after the `LEAD_IN` characters before it.

    Args:
        ids, threads, report: as `stream_loss` takes them; report counts this part's characters.
        each: filled with the loss of each character of this part.
        kept: filled with the logits of this part, as far as it has room.
    """
    if isinstance(ids, np.ndarray):
        ids = SplitIds(np.ascontiguousarray(ids))
    first, last = ((len(ids) - 1) * each // world_size for each in (rank, rank + 1))
    if first == last:
        return 0.0
    lead_in = ids[max(0, first - LEAD_IN) : first]
    ids = replace(ids, stored=ids.stored[first : last + 1])
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = (threads or torch.get_num_threads()) if on_cpu else 1
    most = ROWS_A_THREAD * threads if on_cpu else ROWS_ON_GPU
    rows = max(1, min(most, (len(ids) - 1) // SHORTEST_ROW))
    if kept is not None:
        kept.make_room(ids, rows, network.architecture.vocabulary_size)
    with evaluating(network):
        run = _Run(network, ids, rows, report or (lambda done, total: None), each, kept)
        if len(lead_in):
            run.begin_after(lead_in)
        parts = max(1, min(threads, rows // LEAST_ROWS_A_THREAD))
        with side_by_side(parts) as all_of:
            return run.total(all_of, parts)


class KeptLogits:
    """The logits of a text that is scored, or of the beginning of each of its rows.

    Args:
        room: for so many numbers.

    Attributes:
        logits: (R, C, V), of C characters of each row, the largest 0; in 16 bits, for the memory,
            which changes a loss by some millionths of a nat.
        ids: (R, C + 1), those that were read, and the one after the last.
        before: (R, B), up to so many ids before each row, which are 0 where there are none.
        known: (R,), how many of these there are.
    """

    def __init__(self, room: int, before: int) -> None:
        self.room = room
        self.longest_before = before

    def make_room(self, ids: SplitIds, rows: int, vocabulary_size: int) -> None:
        """Begin with a text that is cut into rows."""
        length = (len(ids) - 1) // rows
        columns = min(length, self.room // (rows * vocabulary_size))
        self.logits = np.empty((rows, columns, vocabulary_size), np.float16)
        self.ids = ids.rows(length, range(rows), slice(0, columns + 1))
        self.known = np.minimum(np.arange(rows) * length, self.longest_before)
        self.before = np.zeros((rows, self.longest_before), np.int64)
        for row, known in enumerate(self.known.tolist()):
            if known:
                self.before[row, -known:] = ids[row * length - known : row * length]

    def take(self, logits: torch.Tensor, rows: range, start: int) -> None:
        """Keep those (R, C, V) of some rows, of which the first is of the column `start`."""
        columns = self.logits.shape[1] - start
        if columns > 0:
            part = logits[:, :columns]
            # near 0, where 16 bits are dense, the likeliest most of all
            kept = (part - part.amax(-1, keepdim=True)).half().cpu().numpy()
            self.logits[rows.start : rows.stop, start : start + kept.shape[1]] = kept


class _Run:
    """The rows of a text, and their losses chunk by chunk.

    Attributes:
        losses: (chunks, R), summed over each chunk's characters.
        each: (n - 1,), those of the characters themselves, where they are asked for.
    """

    def __init__(
        self,
        network: AnyNetwork,
        ids: SplitIds,
        rows: int,
        report: Callable[[int, int], None],
        each: npt.NDArray[np.float32] | None,
        kept: KeptLogits | None,
    ) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self.ids = ids
        self.rows = rows
        self.length = (len(ids) - 1) // rows
        self.report = report
        self.each = each
        self.kept = kept
        self.chunk = columns_at_once(rows, network.architecture.vocabulary_size)
        chunks = -(-self.length // self.chunk)
        self.losses = np.zeros((chunks, rows))
        self.beginning: State | None = None
        self.stopped = threading.Event()

    def begin_after(self, lead_in: Ids) -> None:
        """Let the first row begin in the state after these ids (n,), rather than at zero."""
        with torch.inference_mode():
            # a part at a time: the logits of all would take much memory
            for start in range(0, len(lead_in), self.chunk):
                ids = torch.from_numpy(lead_in[None, start : start + self.chunk])
                _, self.beginning = self.network(ids.to(self.device), self.beginning)

    def total(self, all_of: AllOf, parts: int) -> float:
        """The summed loss of all characters but the first."""
        cuts = [self.rows * part // parts for part in range(parts + 1)]
        spans = [range(*pair) for pair in itertools.pairwise(cuts)]
        ends: dict[int, State] = {}

        def first_run(part: int) -> None:
            before = self._zero_but_first(len(spans[0])) if part == 0 else None
            ends[part], _ = self._run(spans[part], before, leads=part == 0)

        def next_run(part: int) -> None:
            # the first row did begin where it should
            span = range(max(1, spans[part].start), spans[part].stop)
            before = state_rows(after, slice(span.start - 1, span.stop - 1))
            end, agreed[part] = self._run(span, before, leads=False, again=True)
            if not agreed[part]:
                ends[part] = (
                    end
                    if span == spans[part]
                    else concat_states([state_rows(after, slice(1)), end])
                )

        try:
            all_of(first_run)
            after = concat_states([ends[part] for part in range(parts)])  # each row's last state
            for _ in range(self.rows - 1):
                agreed = [False] * parts
                all_of(next_run)
                after = concat_states([ends[part] for part in range(parts)])
                if all(agreed):
                    break
        finally:
            self.stopped.set()  # an interrupt reaches one thread only
        self.report(len(self.ids) - 1, len(self.ids) - 1)
        return float(self.losses.sum()) + self._rest(state_rows(after, slice(-1, None)))

    def _zero_but_first(self, rows: int) -> State | None:
        """The state (rows, ...) of which the first row follows the lead-in; the others are 0."""
        if self.beginning is None:
            return None
        zeros = [[part.new_zeros(rows - 1, *part.shape[1:]) for part in layer]
                 for layer in self.beginning]  # fmt: skip
        return concat_states([self.beginning, [tuple(layer) for layer in zeros]])

    def _run(
        self, span: range, state: State | None, *, leads: bool, again: bool = False
    ) -> tuple[State, bool]:
        """Run rows from a state to their ends, or when they run `again` until they do not change.

        Returns:
            The state where it stopped, and whether it made no difference any more.
        """
        with torch.inference_mode():
            for index, losses in enumerate(self.losses):
                start = index * self.chunk
                stop = min(start + self.chunk, self.length)
                block = self.ids.rows(self.length, span, slice(start, stop + 1))
                each, state = self._losses(block, state, span, start)
                new = each.sum(1, dtype=torch.float64).cpu().numpy()
                if self.each is not None:
                    by_row = self.each[: self.rows * self.length].reshape(self.rows, self.length)
                    by_row[span.start : span.stop, start:stop] = each.cpu().numpy()
                changed = np.abs(new - losses[span.start : span.stop]).max(initial=0)
                losses[span.start : span.stop] = new
                agrees = changed <= UNCHANGED * (stop - start)
                if again and agrees and stop >= SECOND_RUN:
                    return state, True
                if self.stopped.is_set():
                    break
                if leads:
                    self.report(stop * self.rows, len(self.ids) - 1)
                    if index % RELEASE_EVERY == 0:
                        self.ids.release()
        assert state is not None
        return state, False

    def _rest(self, state: State) -> float:
        """The summed loss of the few characters that the rows leave over."""
        start = self.rows * self.length
        if start == len(self.ids) - 1:
            return 0.0
        with torch.inference_mode():
            losses, _ = self._losses(self.ids[start:][None], state)
        if self.each is not None:
            self.each[start:] = losses[0].cpu().numpy()
        return losses.sum(dtype=torch.float64).item()

    def _losses(
        self, block: Ids, state: State | None, span: range | None = None, start: int = 0
    ) -> tuple[torch.Tensor, State]:
        """The losses (R, C) of a block (R, C + 1), and the state after it.

        Args:
            span, start: the rows and the first column that the block is of, to keep its logits.
        """
        ids = torch.from_numpy(block).to(self.device)
        logits, state = self.network(ids[:, :-1], state)
        if self.kept is not None and span is not None:
            self.kept.take(logits, span, start)
        return losses_of(logits, ids[:, 1:], normalized=is_normalized(self.network)), state


def score_ids(trained: Trained, ids: Ids) -> float:
    """Nats per character of a text, given as ids (n,) from 0.

    Raises:
        ValueError: there is nothing to predict.
    """
    return stream_loss(any_network_of(trained), ids).loss
