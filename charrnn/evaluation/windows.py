"""The loss of a text in windows that each begin at the zero state.

A transformer that is asked for its loss in windows of N characters, as nanoGPT is, knows
nothing of what stands before a window. This is the same for a recurrent network, so that the
two can stand in one table. What a network carries from one window to the next is its own
advantage, which `charrnn.evaluation.stream` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score, scored_ids
from charrnn.evaluation.rows import columns_at_once, evaluating, read_rows, side_by_side
from charrnn.network_ensemble import AnyNetwork

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
