"""What training drops, held to plain definitions; the trained model knows nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from charrnn.cells import CELLS
from charrnn.errors import InputError
from charrnn.models.trained import Architecture
from charrnn.network import Network, dropped, num_parameters
from charrnn.options.networks import Regularization
from charrnn.training.stream_threads import window_loss

V, D, H, N, T = 7, 5, 6, 3, 8


def network(kind: str = "lstm", num_layers: int = 1, dropout: float = 0, **values: Any) -> Network:
    torch.manual_seed(0)
    architecture = Architecture(
        kind, values.pop("D", D), H, num_layers, dropout, False, vocabulary_size=V
    )
    return Network(architecture, Regularization(**values)).double()


def window() -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(3)
    return torch.randint(V, (N, T), generator=drawn), torch.randint(V, (N, T), generator=drawn)


def plain_lstm(net: Network, ids: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
    """The logits of one layer, step by step: it sees `seen` (H,) times its hidden vector."""
    layer: Any = net.recurrent[0]
    h = c = torch.zeros(len(ids), H, dtype=torch.float64)
    outputs = []
    for x in net.embedding(ids).unbind(1):
        gates = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + (h * seen) @ weight.T
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return net.decoder(torch.stack(outputs, 1))


def test_recurrent_dropout_hides_the_same_units_of_the_past_all_along() -> None:
    net, (ids, _) = network(recurrent_dropout=0.5), window()
    weight: Any = net.recurrent[0].weight_hh_l0
    found, _ = net(ids, None, torch.Generator().manual_seed(5))
    ones = torch.ones(1, H, dtype=torch.float64)
    seen = dropped(ones, 0.5, (1, H), torch.Generator().manual_seed(5))
    assert 0 < (seen == 0).sum() < H
    torch.testing.assert_close(found, plain_lstm(net, ids, seen[0], weight))
    assert net.recurrent[0].weight_hh_l0 is weight


def test_weight_dropout_drops_the_same_weights_all_along() -> None:
    net, (ids, targets) = network(weight_dropout=0.25), window()
    weight: Any = net.recurrent[0].weight_hh_l0
    loss, _ = window_loss(net, ids, targets, None, torch.Generator().manual_seed(5))
    loss.backward()
    masked = dropped(weight.detach(), 0.25, weight.shape, torch.Generator().manual_seed(5))
    logits = plain_lstm(net, ids, torch.ones(H), masked)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(loss, expected)
    assert ((weight.grad != 0) == (masked != 0)).all()


@pytest.mark.parametrize("kind", [kind for kind in CELLS if CELLS[kind].recurrent])
def test_every_cell_with_recurrent_weights_can_drop_them(kind: str) -> None:
    net, (ids, _) = network(kind, 2, recurrent_dropout=0.5, weight_dropout=0.5), window()
    torch.manual_seed(1)
    logits, state = net(ids)
    torch.manual_seed(2)
    assert not torch.equal(net(ids)[0], logits)
    net.eval()
    plain = network(kind, 2).eval()
    torch.testing.assert_close(net(ids, state)[0], plain(ids, state)[0])


@pytest.mark.parametrize("generator", [None, torch.Generator()])
def test_locked_dropout_drops_the_same_units_for_a_window(generator: Any) -> None:
    net = network(num_layers=2, dropout=0.5, embedding_dropout=0.5, locked_dropout=True)
    masks = []
    for dropout in (net.embedding_dropout, net.dropout, net.output_dropout):
        dropout.register_forward_hook(lambda module, args, out: masks.append(out == 0))
    ids = torch.zeros(500, T, dtype=torch.int64)
    net(ids, None, generator)
    assert len(masks) == 3
    for mask in masks:
        assert (mask == mask[:, :1]).all()
        assert 0.45 < mask.float().mean() < 0.55
        assert len(mask[:, 0].unique(dim=0)) > 20  # of 2 ** 5, so that streams differ


def test_the_last_layer_may_have_a_dropout_of_its_own() -> None:
    net = network(num_layers=2, dropout=0.5, output_dropout=0.0)
    shares = []
    for dropout in (net.dropout, net.output_dropout):
        dropout.register_forward_hook(
            lambda module, args, out: shares.append((out[args[0] != 0] == 0).float().mean())
        )
    net(torch.zeros(50, T, dtype=torch.int64))
    assert 0.4 < shares[0] < 0.6
    assert shares[1] == 0


def test_what_is_kept_is_scaled_up() -> None:
    values = dropped(torch.ones(10_000), 0.2, (10_000,), torch.Generator().manual_seed(1))
    assert set(values.tolist()) == {0.0, 1.25}
    assert abs(values.mean() - 1) < 0.02


@pytest.mark.parametrize("share", [1e-6, 0.001, 0.1, 0.5, 0.999])
def test_a_share_is_dropped_at_every_place(share: float) -> None:
    rows, places = 40_000, 6
    ones = torch.ones(rows, places)
    values = dropped(ones, share, (rows, places), torch.Generator().manual_seed(1))
    is_zero = (values == 0).double()
    wide = 4 * (share * (1 - share) / rows) ** 0.5 + 2**-16
    assert ((is_zero.mean(0) - share).abs() < wide).all()
    if 0.01 < share < 0.99:  # no place goes by another
        apart = torch.corrcoef(is_zero.T) - torch.eye(places)
        assert (apart.abs() < 4 / rows**0.5).all()


def test_label_smoothing_counts_every_character_a_little() -> None:
    net, (ids, targets) = network(label_smoothing=0.1), window()
    loss, _ = window_loss(net, ids, targets, None)
    scores = net(ids)[0].log_softmax(-1)
    own = scores.gather(-1, targets[..., None]).mean()
    torch.testing.assert_close(loss, -0.9 * own - 0.1 * scores.mean())


def test_a_tied_decoder_is_the_embedding() -> None:
    net = network(D=H, tied=True)
    assert net.decoder.weight is net.embedding.weight
    assert num_parameters(network(D=H)) - num_parameters(net) == V * H
    ids, targets = window()
    window_loss(net, ids, targets, None)[0].backward()
    apart = network(D=H)
    apart.load_state_dict(net.state_dict())
    window_loss(apart, ids, targets, None)[0].backward()
    both: Any = apart.embedding.weight.grad + apart.decoder.weight.grad  # type: ignore[operator]
    torch.testing.assert_close(net.decoder.weight.grad, both)


def test_nothing_is_drawn_unless_asked_for() -> None:
    assert not network().draws
    assert not network(locked_dropout=True, tied=True, D=H, label_smoothing=0.1).draws
    for name in ("output", "embedding", "recurrent", "weight"):
        assert network(**{f"{name}_dropout": 0.1}).draws


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recurrent_dropout": 1.0}, "model.recurrent_dropout=1.0: must be at least 0"),
        ({"label_smoothing": -0.1}, "model.label_smoothing=-0.1: must be at least 0"),
        ({"tied": True}, "model.tied=true: the embedding has 5 numbers a character"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        network(**values)
