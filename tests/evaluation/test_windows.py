"""The loss in cold windows is the mean over windows that are each read alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charrnn.cells import CELLS
from charrnn.data import SplitIds
from charrnn.evaluation import stream, windows_loss
from tests.evaluation.networks import network, one_stream


def cold(net: object, ids: np.ndarray, window: int) -> float:
    """The definition: each window by itself in float64, weighted by its characters."""
    total = 0.0
    for start in range(0, len(ids) - 1, window):
        part = ids[start : start + window + 1]
        total += one_stream(net, part) * (len(part) - 1)
    return total / (len(ids) - 1)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("size", "window"), [(2, 5), (101, 10), (1000, 7), (4001, 64), (999, 10**9)]
)
def test_agrees_with_windows_read_alone(kind: str, size: int, window: int) -> None:
    ids = np.random.default_rng(size).integers(0, 11, size)
    net = network(kind)
    score = windows_loss(net, ids, window)
    assert score.characters == size - 1
    assert score.loss == pytest.approx(cold(net, ids, window), abs=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_and_small_pieces(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(stream, "WINDOWS_TOGETHER", 3)
    monkeypatch.setattr("charrnn.evaluation.rows.LOGITS_AT_ONCE", 300)
    stored = np.random.default_rng(5).integers(1, 12, 2000).astype("u1")
    released: list[int] = []
    unread = SplitIds(stored, lambda part: part.astype(np.int64) - 1, lambda: released.append(1))
    net = network("lstm", dropout=0.5, batchnorm=True)
    before, random = torch.get_num_threads(), torch.get_rng_state()
    reports: list[tuple[int, int]] = []
    torch.set_num_threads(threads)
    try:
        score = windows_loss(net, unread, 50, report=lambda *both: reports.append(both))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.get_rng_state(), random)
    assert score.loss == pytest.approx(cold(net, stored.astype(np.int64) - 1, 50), abs=1e-5)
    assert reports[-1] == (1999, 1999)
    assert released
    assert net.training
