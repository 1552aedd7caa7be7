"""The learning rate of every step, of a real optimizer, against the schedules' definitions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from charrnn.training import schedules

Make = Callable[[torch.optim.Optimizer], LRScheduler]


def begun(make: Make, lr: float = 2e-3) -> tuple[torch.optim.Optimizer, LRScheduler]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    return optimizer, make(optimizer)


def rates(make: Make, total: int) -> list[float]:
    """The rate that each step is trained with."""
    optimizer, scheduler = begun(make)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_step_halves_when_every_fifth_epoch_ends() -> None:
    lr = rates(functools.partial(schedules.step, steps_per_epoch=356), 17_800)
    assert lr[0] == lr[5 * 356 - 1] == 2e-3
    assert lr[5 * 356] == 1e-3
    assert lr[-1] == 2e-3 / 2**9


def test_cosine_falls_from_the_first_rate_to_the_final_share_of_it() -> None:
    lr = rates(functools.partial(schedules.cosine, total_steps=100), 1001)
    assert lr[0] == 2e-3
    assert lr == sorted(lr, reverse=True)
    assert lr[50] == pytest.approx(2e-3 * 0.55)
    assert lr[99] == pytest.approx(2e-3 * (0.1 + 0.45 * (1 + math.cos(math.pi * 0.99))))
    assert lr[1000] == pytest.approx(2e-4)
    lr = rates(functools.partial(schedules.cosine, total_steps=110, warmup_steps=10), 111)
    assert lr[9] == lr[10] == 2e-3
    assert (lr[60], lr[110]) == (pytest.approx(2e-3 * 0.55), pytest.approx(2e-4))


def test_linear_falls_evenly_after_the_warmup() -> None:
    lr = rates(functools.partial(schedules.linear, total_steps=110, warmup_steps=10), 120)
    assert lr[9] == lr[10] == 2e-3
    assert math.isclose(lr[60], 1e-3)
    assert lr[110:] == [0] * 10
    lr = rates(functools.partial(schedules.linear, total_steps=100, final_factor=0.25), 101)
    assert lr[100] == 0.25 * 2e-3


def test_warmup_rises_evenly() -> None:
    lr = rates(functools.partial(schedules.constant, warmup_steps=4), 8)
    assert lr == pytest.approx([5e-4, 1e-3, 1.5e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3])


@pytest.mark.parametrize("step", [0, 1, 9, 10, 25])
def test_a_restored_schedule_goes_on_with_todays_rate_and_options(step: int) -> None:
    old = functools.partial(schedules.step, steps_per_epoch=5, decay_every=1)
    new = functools.partial(schedules.step, steps_per_epoch=5, decay_every=2, warmup_steps=3)
    optimizer, scheduler = begun(old, lr=1.0)
    for _ in range(step):
        optimizer.step()
        scheduler.step()
    restored, again = begun(new, lr=0.5)
    again.load_state_dict(scheduler.state_dict())
    expected, whole = begun(new, lr=0.5)
    for _ in range(step):
        expected.step()
        whole.step()
    for _ in range(12):
        assert restored.param_groups[0]["lr"] == expected.param_groups[0]["lr"]
        assert again.get_last_lr() == whole.get_last_lr()
        for optimizer, scheduler in ((restored, again), (expected, whole)):
            optimizer.step()
            scheduler.step()
