"""The loss in parallel rows is the loss of one stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charrnn import evaluation
from charrnn.evaluation import RUN_UP, stream_loss
from charrnn.modelfile import Architecture
from charrnn.network import Network


def network(kind: str, dropout: float = 0.0, batchnorm: bool = False) -> Network:
    torch.manual_seed(3)
    return Network(Architecture(kind, 8, 16, 2, dropout, batchnorm, 11))


def one_stream(net: Network, ids: np.ndarray) -> float:
    """The definition: character by character in float64, from the zero state."""
    net = Network(net.architecture).double().eval()
    reference = network(net.architecture.kind, 0.0, net.architecture.batchnorm)
    net.load_state_dict(reference.state_dict())
    with torch.no_grad():
        logits, _ = net(torch.from_numpy(ids[None, :-1]))
    chosen = torch.log_softmax(logits[0], -1)[torch.arange(len(ids) - 1), ids[1:]]
    return -chosen.mean().item()


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("size", [2, 3, 100, 4 * RUN_UP + 1, 30_001])
def test_agrees_with_one_stream(kind: str, size: int) -> None:
    ids = np.random.default_rng(size).integers(0, 11, size)
    net = network(kind)
    score = stream_loss(net, ids)
    assert score.characters == size - 1
    assert abs(score.loss - one_stream(net, ids)) < 1e-4


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_any_number_of_rows(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(evaluation, "MAX_ROWS", rows)
    monkeypatch.setattr(evaluation, "LOGITS_AT_ONCE", 3000)
    ids = np.random.default_rng(5).integers(0, 11, 20_011)
    net = network("lstm")
    assert abs(stream_loss(net, ids).loss - one_stream(net, ids)) < 1e-4


def test_disturbs_nothing() -> None:
    net = network("lstm", dropout=0.5, batchnorm=True)
    before = {name: w.clone() for name, w in net.state_dict().items()}
    random = torch.get_rng_state()
    ids = np.random.default_rng(5).integers(0, 11, 3000)
    assert stream_loss(net, ids) == stream_loss(net, ids)
    assert net.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(w, before[name]) for name, w in net.state_dict().items())


def test_units() -> None:
    net = network("rnn")
    with torch.no_grad():
        net.decoder.weight.zero_()
        net.decoder.bias.zero_()
    score = stream_loss(net, np.zeros(50, np.int64))
    assert score.loss == pytest.approx(np.log(11), rel=1e-6)
    assert score.bits_per_character == pytest.approx(np.log2(11), rel=1e-6)
    assert score.perplexity == pytest.approx(11, rel=1e-5)


def test_one_character_has_no_loss() -> None:
    with pytest.raises(ValueError, match="2 characters"):
        stream_loss(network("rnn"), np.zeros(1, np.int64))
