"""A batch sharded over threads: the same step as on one thread, and the same run each time."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from charrnn.models.trained import Architecture
from charrnn.networks.network import Network, State, detach_state
from charrnn.options.cells import CELLS
from charrnn.training.batch_shards import BatchShardedLoss, cross_entropy
from tests.small_runs import skip_without_bf16

N, T, V = 7, 9, 11


def network(kind: str = "lstm", dropout: float = 0.0) -> Network:
    torch.manual_seed(1)
    return Network(Architecture(kind, 5, 6, 2, dropout, False, vocabulary_size=V))


def window() -> tuple[Tensor, Tensor]:
    ids = torch.randint(V, (N, T + 1), generator=torch.Generator().manual_seed(2))
    return ids[:, :-1], ids[:, 1:]


def make_shards(net: Network, shards: int) -> BatchShardedLoss:
    trained = [p for p in net.parameters() if p.requires_grad]
    return BatchShardedLoss(net, shards, cross_entropy, trained)


def step(net: Network, loss_of: Any) -> tuple[Tensor, list[Tensor], State]:
    """Compute loss, gradients and state of a second window, after one from the zero state."""
    _, state = loss_of(*window(), None)
    net.zero_grad()
    loss, state = loss_of(*window(), state)
    (3 * loss).backward()
    return loss, [p.grad for p in net.parameters() if p.grad is not None], state


def loss_of_whole(net: Network, ids: Tensor, targets: Tensor, state: Any) -> tuple[Tensor, State]:
    logits, after = net(ids, state)
    return cross_entropy(logits, targets), detach_state(after)


@pytest.mark.parametrize("shares", [2, N])
@pytest.mark.parametrize("kind", CELLS)
def test_a_sharded_step_is_the_step_of_one_thread_in_float64(kind: str, shares: int) -> None:
    net = network(kind).double()
    expected, random_state = step(net, partial(loss_of_whole, net)), torch.get_rng_state()
    found = step(net, make_shards(net, shares))
    assert torch.equal(torch.get_rng_state(), random_state)  # without dropout, none are drawn
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_the_threads_have_the_callers_precision() -> None:
    skip_without_bf16("bf16-mixed")
    net = network()
    exact, losses = step(net, partial(loss_of_whole, net))[0], {}
    with torch.autocast("cpu", torch.bfloat16):
        losses["one"], gradients, _ = step(net, partial(loss_of_whole, net))
        losses["shared"], shared, state = step(net, make_shards(net, N))
    assert state[0][0].dtype == torch.bfloat16
    for loss in losses.values():
        assert 0 < abs(loss - exact) < 0.01
    for one, other in zip(shared, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.01)


def test_dropout_of_shards_is_the_same_after_the_same_seed() -> None:
    net = network(dropout=0.5)
    loss_of = make_shards(net, 2)
    ids = torch.zeros(4, 400, dtype=torch.int64)
    last_layer = loss_of(ids, ids, None)[1][-1][0].flatten(0, -2)  # (streams, H)
    assert not torch.equal(last_layer[0], last_layer[2]), "two shards draw the same"
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(loss_of(ids, ids, None)[0].item())
    assert losses[0] == losses[1] != losses[2]
    net.eval()
    assert loss_of(ids, ids, None)[0].item() == loss_of(ids, ids, None)[0].item()
