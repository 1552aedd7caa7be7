"""An ensemble is scored as one network is, by the mean of its members' probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charrnn.evaluation import part_loss, stream_loss, windows_loss
from charrnn.models.trained import Architecture
from charrnn.network import Network
from charrnn.network_ensemble import NetworkEnsemble
from tests.evaluation.networks import in_float64


def networks() -> list[Network]:
    torch.manual_seed(3)
    return [
        Network(Architecture("lstm", 8, 16, 2, 0.5, True, vocabulary_size=11)),
        Network(Architecture("rnn", 5, 20, 1, 0.0, False, vocabulary_size=11)),
        Network(Architecture("gru", 8, 12, 3, 0.0, False, vocabulary_size=11)),
    ]


SHARES = [0.5, 0.2, 0.3]


def definition(nets: list[Network], ids: np.ndarray) -> float:
    with torch.no_grad():
        each = [in_float64(net)(torch.from_numpy(ids[None, :-1]))[0][0] for net in nets]
    mean = sum(share * logits.softmax(-1) for share, logits in zip(SHARES, each, strict=True))
    return -mean[torch.arange(len(ids) - 1), ids[1:]].log().mean().item()


def test_every_way_of_scoring() -> None:
    nets, ids = networks(), np.random.default_rng(2).integers(0, 11, 12_001)
    ensemble = NetworkEnsemble(nets, SHARES)
    expected = definition(nets, ids)
    assert stream_loss(ensemble, ids).loss == pytest.approx(expected, abs=1e-5)
    parts = [part_loss(ensemble, ids, rank, 3) for rank in range(3)]
    assert sum(parts) / 12_000 == pytest.approx(expected, abs=1e-5)
    cold = [definition(nets, ids[start : start + 101]) for start in range(0, 12_000, 100)]
    assert windows_loss(ensemble, ids, 100).loss == pytest.approx(np.mean(cold), abs=1e-5)


def test_a_mean_that_is_none_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked is the mean itself, before anything makes it sum to 1."""
    whole = NetworkEnsemble.forward

    def forward(*given: object) -> object:
        logs, state = whole(*given)
        return logs + 0.01, state

    monkeypatch.setattr(NetworkEnsemble, "forward", forward)
    ensemble = NetworkEnsemble(networks(), SHARES)
    for score in (stream_loss, lambda *both: windows_loss(*both, 50)):
        with pytest.raises(AssertionError, match=r"off from a sum of 1 by 0\.01"):
            score(ensemble, np.random.default_rng(2).integers(0, 11, 801))


def test_dropout_is_no_part_of_it() -> None:
    ensemble = NetworkEnsemble(networks(), SHARES).train()
    ids = torch.zeros(2, 5, dtype=torch.int64)
    assert torch.equal(ensemble(ids)[0], ensemble(ids)[0])
    assert not any(module.training for module in ensemble.modules())
