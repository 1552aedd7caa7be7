"""What is scored is a distribution, or it is said aloud; the units; too little to score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from charrnn.errors import RunError
from charrnn.evaluation import Score, losses, require_numbers, stream_loss, windows_loss
from tests.evaluation.networks import network


@pytest.mark.parametrize("size", [1, 2, 65, 50_000])
@pytest.mark.parametrize("heat", [0.0, 1.0, 30.0, 1e5])
def test_losses_are_those_of_softmax(size: int, heat: float) -> None:
    generator = torch.Generator().manual_seed(size)
    logits = torch.randn(2, 3, size, generator=generator) * heat
    targets = torch.randint(size, (2, 3), generator=generator)
    found = losses.losses_of(logits, targets)
    expected = -torch.log_softmax(logits.double(), -1).gather(-1, targets[..., None])[..., 0]
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_what_does_not_sum_to_1_is_a_fault() -> None:
    logs = torch.log_softmax(torch.randn(2, 3, 11), -1)
    targets = torch.zeros(2, 3, dtype=torch.int64)
    losses.losses_of(logs, targets, normalized=True)
    logs[1, 2, 3] += 0.1
    with pytest.raises(AssertionError, match="off from a sum of 1 by"):
        losses.losses_of(logs, targets, normalized=True)


def test_a_loss_that_is_no_number_is_told() -> None:
    with pytest.raises(RunError, match="not numbers"):
        require_numbers(Score(math.nan, 10))
    fine = Score(1.5, 10)
    assert require_numbers(fine) is fine


def test_units() -> None:
    net = network("rnn")
    with torch.no_grad():
        net.decoder.weight.zero_()
        net.decoder.bias.zero_()
    for score in (stream_loss(net, np.zeros(50, int)), windows_loss(net, np.zeros(50, int), 7)):
        assert score.loss == pytest.approx(np.log(11), rel=1e-6)
        assert score.bits_per_character == pytest.approx(np.log2(11), rel=1e-6)
        assert score.perplexity == pytest.approx(11, rel=1e-5)


def test_one_character_has_no_loss() -> None:
    for scored in (lambda ids: stream_loss(network("rnn"), ids),
                   lambda ids: windows_loss(network("rnn"), ids, 5)):  # fmt: skip
        with pytest.raises(ValueError, match="2 characters"):
            scored(np.zeros(1, np.int64))
