"""The loss of a stream of text: for validation, `evaluate` and `Model.score` alike.

The loss of n characters is that of one stream from the zero state: the mean of
-ln p(character | all before it) over every character but the first, in nats.

One stream alone would use a fraction of the machine. The text is cut into R rows that
run side by side, each of them first run over the RUN_UP characters before it, unscored,
so that its state has forgotten that it began at zero. Row 0 needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from charrnn.data import Ids
from charrnn.modelfile import TrainedModel
from charrnn.network import Network, State, network_of

RUN_UP = 256
MAX_ROWS = 64
LOGITS_AT_ONCE = 1 << 21
IGNORED = -100  # cross_entropy's own default for targets that do not count


@dataclass(frozen=True)
class Score:
    """Attributes: loss in nats per character; characters: how many were predicted."""

    loss: float
    characters: int

    @property
    def bits_per_character(self) -> float:
        return float(self.loss / np.log(2))

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.loss))


@torch.inference_mode()
def stream_loss(
    network: Network, ids: Ids, *, report: Callable[[int, int], None] | None = None
) -> Score:
    """The loss of a text as one stream from the zero state, on the network's own device.

    The network's mode is put back; no random number is drawn.

    Args:
        ids: (n,) from 0, n >= 2.
        report: called with the characters done and the characters in all.

    Raises:
        ValueError: there is nothing to predict.
    """
    if len(ids) < 2:
        raise ValueError("a loss needs at least 2 characters")
    was_training = network.training
    network.eval()
    try:
        return _score(network, ids, report)
    finally:
        network.train(was_training)


def _score(network: Network, ids: Ids, report: Callable[[int, int], None] | None) -> Score:
    device = network.decoder.weight.device
    predicted = len(ids) - 1
    rows = max(1, min(MAX_ROWS, predicted // (4 * RUN_UP)))
    length = -(-predicted // rows)
    starts = np.arange(rows) * length
    state = _run_up(network, ids, starts, device)

    inputs = np.zeros((rows, length), np.int64)
    targets = np.full((rows, length), IGNORED, np.int64)
    for row, start in enumerate(starts):
        part = ids[start : start + length + 1]
        inputs[row, : len(part) - 1] = part[:-1]
        targets[row, : len(part) - 1] = part[1:]

    total = 0.0
    step = max(1, LOGITS_AT_ONCE // (rows * network.architecture.vocabulary_size))
    for column in range(0, length, step):
        columns = slice(column, column + step)
        logits, state = network(torch.from_numpy(inputs[:, columns]).to(device), state)
        total += F.cross_entropy(
            logits.flatten(0, 1).float(),
            torch.from_numpy(targets[:, columns]).to(device).flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        ).item()
        if report is not None:
            report(min(predicted, rows * (column + step)), predicted)
    return Score(total / predicted, predicted)


def _run_up(network: Network, ids: Ids, starts: np.ndarray, device: torch.device) -> State | None:
    """The state of each row at its start: zero for row 0, for the others after RUN_UP."""
    if len(starts) == 1:
        return None
    before = np.stack([ids[start - RUN_UP : start] for start in starts[1:]])
    state: State | None = None
    for column in range(0, RUN_UP, 64):
        block = torch.from_numpy(before[:, column : column + 64]).to(device)
        _, state = network(block, state)
    assert state is not None
    return [
        tuple(torch.cat([torch.zeros_like(part[:1]), part]) for part in layer) for layer in state
    ]


def score_ids(trained: TrainedModel, ids: Ids) -> float:
    """Nats per character of a text, given as ids (n,) from 0.

    Raises:
        ValueError: there is nothing to predict.
    """
    return stream_loss(network_of(trained), ids).loss
