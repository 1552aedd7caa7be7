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
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score, scored_ids
from charrnn.evaluation.rows import columns_at_once, evaluating, read_rows, side_by_side
from charrnn.models.ensemble import Trained
from charrnn.network_ensemble import AnyNetwork, any_network_of

ROWS_A_THREAD = 32
ROWS_ON_GPU = 512
SHORTEST_ROW = 2048
LEAST_ROWS_A_THREAD = 2
LEAD = 256  # characters that are run unscored before a row; a multiple of a chunk
AGREES = 1e-5  # nats per character
WINDOWS_TOGETHER = 64
WINDOWS_TOGETHER_ON_GPU = 1024

Report = Callable[[int, int], None]


def stream_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    *,
    threads: int | None = None,
    report: Report | None = None,
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
    report: Report | None = None,
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
    report: Report | None = None,
    each: npt.NDArray[np.float32] | None = None,
    logits: npt.NDArray[np.float16] | None = None,
) -> float:
    """The summed loss of one process's part of a text; those of all are that of the text.

    The parts are of equal length, in the order of the ranks.

    Args:
        ids, threads, report: as `stream_loss` takes them; report counts this part's characters.
        each: filled with the loss of each character of this part.
        logits: (P, V), filled with those of the first P characters that the text predicts, the
            largest of each 0, as far as this part has them. 16 bits are for the memory: they change
            a loss by some millionths of a nat.
    """
    if isinstance(ids, np.ndarray):
        ids = SplitIds(np.ascontiguousarray(ids))
    first, last = ((len(ids) - 1) * part // world_size for part in (rank, rank + 1))
    if first == last:
        return 0.0
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = (threads or torch.get_num_threads()) if on_cpu else 1
    most = ROWS_A_THREAD * threads if on_cpu else ROWS_ON_GPU
    rows = min(most, (last - first) // SHORTEST_ROW)
    scored, report = range(first + 1, last + 1), report or (lambda done, total: None)
    with evaluating(network):
        if rows > 1:
            total, apart = _loss_in_rows(network, ids, scored, rows, threads, report, each, logits)
            if not apart > AGREES:  # it is no number where the losses are none
                return total
        return _loss_in_rows(network, ids, scored, 1, 1, report, each, logits)[0]


def _loss_in_rows(
    network: AnyNetwork,
    ids: SplitIds,
    scored: range,
    rows: int,
    threads: int,
    report: Report,
    each: npt.NDArray[np.float32] | None,
    logits: npt.NDArray[np.float16] | None,
) -> tuple[float, float]:
    """The summed loss of the characters at some places, in rows; a single one begins at place 0.

    Returns:
        The loss, and how far apart, in nats per character, those are that two rows have of the
        same characters: the last ones of each row, which lead in to the next.
    """
    chunk = columns_at_once(rows, network.architecture.vocabulary_size)
    if rows == 1:
        starts, columns = np.zeros(1, np.int64), range(0, scored[-1], chunk)
    else:
        length = -(-len(scored) // (rows * chunk)) * chunk
        starts, columns = np.arange(scored[0] - 1, scored[-1], length), range(-LEAD, length, chunk)
    of_lead, of_end = np.zeros((2, len(starts), chunk), np.float32)

    def losses(span: slice) -> Iterator[float]:
        for block in read_rows(network, ids, starts[span], columns, scored):
            after = block.column + chunk
            if after == 0:
                of_lead[span] = block.losses
            elif after == columns.stop:
                of_end[span] = block.losses
            if each is not None:
                each[block.places[block.is_scored] - scored[0]] = block.losses[block.is_scored]
            if logits is not None:
                wanted = block.is_scored & (block.places <= len(logits))
                these = block.logits[torch.from_numpy(wanted)].float()
                # near 0, where 16 bits are dense, the likeliest most of all
                likeliest = these.amax(-1, keepdim=True)
                logits[block.places[wanted] - 1] = (these - likeliest).half().cpu().numpy()
            if span.start == 0 and after > 0:
                report(min(after * len(scored) // columns.stop, len(scored)), len(scored))
            yield block.total

    parts = max(1, min(threads, len(starts) // LEAST_ROWS_A_THREAD))
    cuts = [len(starts) * part // parts for part in range(parts + 1)]
    total = side_by_side([losses(slice(*pair)) for pair in itertools.pairwise(cuts)])
    report(len(scored), len(scored))
    return total, float(np.abs(of_end[:-1] - of_lead[1:]).mean()) if rows > 1 else 0.0


def windows_loss(
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
    ids = scored_ids(ids)
    count = len(ids) - 1
    on_cpu = next(network.parameters()).device.type == "cpu"
    threads = torch.get_num_threads() if on_cpu else 1
    starts = np.arange(0, count, window)
    most = WINDOWS_TOGETHER if on_cpu else WINDOWS_TOGETHER_ON_GPU
    together = max(1, min(most, -(-len(starts) // threads)))
    chunk = columns_at_once(together, network.architecture.vocabulary_size)
    columns = range(0, min(window, count), chunk)
    groups = [starts[at : at + together] for at in range(0, len(starts), together)]

    def losses(part: int) -> Iterator[float]:
        for number, group in enumerate(groups[part::threads]):
            for block in read_rows(network, ids, group, columns, range(1, count + 1)):
                yield block.total
            if part == 0 and report is not None:
                report(min(count, (number + 1) * threads * together * window), count)

    with evaluating(network):
        total = side_by_side([losses(part) for part in range(min(threads, len(groups)))])
    if report is not None:
        report(count, count)
    return Score(total / count, count)


def score_ids(trained: Trained, ids: Ids) -> float:
    """Nats per character of a text, given as ids (n,) from 0.

    Raises:
        ValueError: there is nothing to predict.
    """
    return stream_loss(any_network_of(trained), ids).loss
