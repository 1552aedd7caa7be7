"""Networks and cells: weights, shapes and dropout (tests/generation has their numbers)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from charrnn.models.trained import Architecture, TrainedModel
from charrnn.networks.network import Dropout, Network, copy_weights, make_network
from charrnn.options.cells import CELLS
from charrnn.text.vocabulary import Vocabulary


def network(kind: str, **changes: object) -> Network:
    torch.manual_seed(1)
    architecture = Architecture(kind, 5, 6, 2, 0.0, False, vocabulary_size=7)
    return Network(replace(architecture, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CELLS)
def test_a_network_becomes_a_trained_model_and_back(kind: str) -> None:
    net = network(kind, num_layers=3, batchnorm=True)
    net(torch.randint(0, 7, (4, 5)))
    shapes = {name: tuple(w.shape) for name, w in net.state_dict().items()}
    assert shapes == net.architecture.shapes()
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert net.architecture.num_parameters == trained
    model = TrainedModel(net.architecture, Vocabulary(list("abcdefg")), copy_weights(net))
    before = torch.get_rng_state()
    again = make_network(model)
    assert torch.equal(torch.get_rng_state(), before)
    ids = torch.randint(0, 7, (2, 5))
    assert torch.equal(net.eval()(ids)[0], again.eval()(ids)[0])


def test_the_initial_weights_are_those_of_torch_rnn() -> None:
    net = network("lstm", embedding_size=200, hidden_size=300, vocabulary_size=400)
    layer = net.recurrent[0]
    assert abs(layer.weight_ih_l0.std().item() * 500**0.5 - 1) < 0.02
    assert abs(net.embedding.weight.std().item() - 1) < 0.02
    bias = layer.bias_ih_l0
    assert bias[300:600].eq(1).all()
    assert bias.sum() == 300
    assert not layer.bias_hh_l0.any()
    assert net.decoder.weight.abs().max() <= 300**-0.5


@pytest.mark.parametrize("share", [1e-6, 0.1, 0.999])
def test_a_share_is_dropped_at_every_place_and_the_rest_scaled_up(share: float) -> None:
    rows, places = 40_000, 6
    values = Dropout(share)(torch.ones(rows, places), torch.Generator().manual_seed(1))
    in_float32 = np.float32(1) / np.float32(1 - share)  # NumPy 1 would divide 1.0 in float64
    assert set(values.unique().tolist()) <= {0.0, 1 / (1 - share), float(in_float32)}
    is_zero = (values == 0).double()
    wide = 4 * (share * (1 - share) / rows) ** 0.5 + 2**-16
    assert ((is_zero.mean(0) - share).abs() < wide).all()
    if 0.01 < share < 0.99:  # no place depends on another
        apart = torch.corrcoef(is_zero.T) - torch.eye(places)
        assert (apart.abs() < 4 / rows**0.5).all()


def test_batch_normalization_is_that_of_torch() -> None:
    net = network("gru", batchnorm=True)
    ours, theirs = net.norms[0], torch.nn.BatchNorm1d(6)
    assert ours.state_dict().keys() == theirs.state_dict().keys() - {"num_batches_tracked"}
    hidden = torch.randn(3, 4, 6)
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        assert torch.equal(ours(hidden).flatten(0, 1), theirs(hidden.flatten(0, 1)))
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name])


@pytest.mark.parametrize("skip", ["none", "sum"])
def test_outputs_are_dropped_before_they_are_added(skip: str) -> None:
    net = network("rnn", skip=skip, num_layers=3, dropout=0.5, hidden_size=512)
    given, dropped, read = [], [], []
    net.dropout.register_forward_hook(lambda _, args, out: given.append(args[0]))
    net.dropout.register_forward_hook(lambda _, args, out: dropped.append(out))
    for layer in (*net.recurrent[1:], net.decoder):
        layer.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    net(torch.randint(0, 7, (2, 5)))
    assert all(torch.equal(out, seen) for out, seen in zip(dropped, read, strict=True))
    last = net.recurrent[2](dropped[1])[0]
    top = last + dropped[0] + dropped[1] if skip == "sum" else last
    torch.testing.assert_close(given[2], top)
    kept = dropped[2] != 0
    torch.testing.assert_close(dropped[2][kept], 2 * given[2][kept])
