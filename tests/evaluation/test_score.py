"""What is scored is a distribution, or it is said aloud."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from charrnn.errors import RunError
from charrnn.evaluation import Score, losses, require_numbers, stream_loss
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
    losses.check(logs)
    logs[1, 2, 3] += 0.1
    with pytest.raises(AssertionError, match="off from a sum of 1 by"):
        losses.check(logs)


def test_a_stream_is_checked_to_its_last_character(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    whole = losses.check
    monkeypatch.setattr(losses, "check", lambda logs: (checked.append(len(logs)), whole(logs)))
    monkeypatch.setattr(losses.F, "log_softmax", lambda logits, dim: logits)
    with pytest.raises(AssertionError):
        stream_loss(network("rnn"), np.zeros(50, np.int64))
    assert checked


def test_a_loss_that_is_no_number_is_told() -> None:
    with pytest.raises(RunError, match="not numbers"):
        require_numbers(Score(math.nan, 10))
    fine = Score(1.5, 10)
    assert require_numbers(fine) is fine
