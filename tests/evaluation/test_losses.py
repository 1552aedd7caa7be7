"""Units, lines, cold windows, ensembles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from charrnn.errors import RunError
from charrnn.evaluation.losses import LineLoss, Score, rank_lines_by_loss, require_finite
from charrnn.evaluation.stream_losses import (
    compute_rank_loss,
    compute_stream_loss,
    compute_window_loss,
)
from charrnn.networks.ensemble import NetworkEnsemble
from charrnn.networks.network import Network
from charrnn.options.cells import CELLS
from tests.evaluation.test_stream import in_float64, network, one_stream, text

SHARES = [0.5, 0.2, 0.3]


def test_units_and_what_has_no_loss() -> None:
    net = network("rnn")
    with torch.no_grad():
        net.decoder.weight.zero_()
        net.decoder.bias.zero_()
    for score in (compute_stream_loss, lambda *both: compute_window_loss(*both, 7)):
        found = score(net, np.zeros(50, int))
        assert found.loss == pytest.approx(np.log(11), rel=1e-6)
        assert found.bits_per_character == pytest.approx(np.log2(11), rel=1e-6)
        assert found.perplexity == pytest.approx(11, rel=1e-5)
    with pytest.raises(RunError, match="not numbers"):
        require_finite(Score(math.nan, 10))


def test_the_worst_predicted_line_comes_first_each_character_once() -> None:
    each = np.log(2) * np.array([np.nan, 1, 3, 9, 5, np.nan, 4])
    assert rank_lines_by_loss("ab\n\nc?d", each) == [
        LineLoss(3, 2, pytest.approx(4.5), "c?d"),
        LineLoss(1, 2, pytest.approx(2), "ab"),
    ]
    assert [line.line for line in rank_lines_by_loss("a\nb\na\n", np.full(6, 0.5))] == [1, 2, 3]
    found = rank_lines_by_loss("abc\na\n\nab", each := np.arange(9.0))
    total = sum(line.bits_per_character * line.characters for line in found) * np.log(2)
    assert total == pytest.approx(each.sum() - 6)  # but for the empty line


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("size", "window"), [(2, 5), (1000, 7), (999, 10**9)])
def test_windows_are_each_read_alone(kind: str, size: int, window: int) -> None:
    net, ids, total = network(kind, dropout=0.5, batchnorm=True), text(size), 0.0
    for start in range(0, size - 1, window):
        part = ids[start : start + window + 1]
        total += one_stream(net, part) * (len(part) - 1)
    reports: list[tuple[int, int]] = []
    score = compute_window_loss(net, ids, window, report=lambda *both: reports.append(both))
    assert score.characters == size - 1
    assert score.loss == pytest.approx(total / (size - 1), abs=1e-5)
    assert reports[-1] == (size - 1, size - 1)
    assert net.training


def networks() -> list[Network]:
    return [network("lstm", 0.5, True), network("rnn"), network("gru")]


def mean_loss(nets: list[Network], ids: np.ndarray) -> float:
    """The definition, in float64."""
    with torch.no_grad():
        each = [in_float64(net)(torch.from_numpy(ids[None, :-1]))[0][0] for net in nets]
    mean = sum(share * logits.softmax(-1) for share, logits in zip(SHARES, each, strict=True))
    return -mean[torch.arange(len(ids) - 1), ids[1:]].log().mean().item()


def test_an_ensemble_is_scored_by_the_mean_of_its_probabilities() -> None:
    nets, ids = networks(), text(4_001)
    ensemble = NetworkEnsemble(nets, SHARES).train()
    assert not any(module.training for module in ensemble.modules())
    expected = mean_loss(nets, ids)
    assert compute_stream_loss(ensemble, ids).loss == pytest.approx(expected, abs=1e-5)
    parts = [compute_rank_loss(ensemble, ids, rank, 3) for rank in range(3)]
    assert sum(parts) / 4_000 == pytest.approx(expected, abs=1e-5)
    cold = [mean_loss(nets, ids[start : start + 101]) for start in range(0, 4_000, 100)]
    assert compute_window_loss(ensemble, ids, 100).loss == pytest.approx(np.mean(cold), abs=1e-5)
