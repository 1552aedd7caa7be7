"""Windows that grow with the training."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from charrnn.errors import InputError
from charrnn.models.trained import Architecture
from charrnn.network import Network
from charrnn.training.growing import GrowingWindows
from charrnn.training.stream_threads import window_loss


def pieces(growing: GrowingWindows) -> Network:
    """A network with the gradients of a window of 10 as the callback trains it."""
    torch.manual_seed(1)
    network = Network(Architecture("lstm", 5, 6, 2, vocabulary_size=7)).double()
    ids = torch.randint(7, (3, 11))
    growing._loss = window_loss
    loss, _ = growing._in_pieces(network, ids[:, :-1], ids[:, 1:], None)
    loss.backward()
    return network


def test_pieces_grow_along_a_line_until_they_are_whole() -> None:
    growing = GrowingWindows(first=4, steps=6)
    lengths = []
    for growing.step in range(9):
        lengths.append(growing.length(10))
    assert lengths == [4, 5, 6, 7, 8, 9, 10, 10, 10]
    assert growing.length(3) == 3


@pytest.mark.parametrize("length", [1, 4, 5, 10, 64])
def test_it_is_backpropagation_that_is_cut(length: int) -> None:
    """The loss of all characters, whose gradient stops at each piece's beginning."""
    found = pieces(GrowingWindows(first=length))
    expected = pieces(GrowingWindows(first=length))
    expected.zero_grad()
    torch.manual_seed(1)
    Network(Architecture("lstm", 5, 6, 2, vocabulary_size=7))  # draws as pieces() does
    ids = torch.randint(7, (3, 11))
    state, losses = None, []
    for t in range(10):
        if state is not None and t % length == 0:
            state = [tuple(part.detach() for part in layer) for layer in state]
        logits, state = expected(ids[:, t : t + 1], state)
        losses.append(F.cross_entropy(logits[:, 0], ids[:, t + 1]))
    torch.stack(losses).mean().backward()
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("wrong", [{"first": 0}, {"steps": 0}])
def test_no_pieces_of_nothing(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"^callbacks.growing: first and steps must be 1 or more"):
        GrowingWindows(**wrong)
