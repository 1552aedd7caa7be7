"""The learning rate of every step, against the schedules' definitions."""

from __future__ import annotations

import math

import pytest

from charrnn.options import ScheduleOptions
from charrnn.training.schedules import learning_rate


def schedule(name: str, warmup: int = 0, final: float = 0.1) -> ScheduleOptions:
    return ScheduleOptions(name, 5, 0.5, warmup, final)


def rates(options: ScheduleOptions, windows: int, total: int) -> list[float]:
    return [learning_rate(s, 2e-3, options, windows, total) for s in range(total)]


def test_step_halves_when_every_fifth_epoch_ends() -> None:
    lr = rates(schedule("step"), 356, 17_800)
    assert lr[0] == lr[5 * 356 - 1] == 2e-3
    assert lr[5 * 356] == 1e-3
    assert lr[-1] == 2e-3 / 2**9


def test_constant() -> None:
    assert set(rates(schedule("constant"), 10, 100)) == {2e-3}


def test_cosine_falls_from_the_first_rate_to_the_final_share_of_it() -> None:
    lr = rates(schedule("cosine"), 10, 100)
    assert lr[0] == 2e-3
    assert lr == sorted(lr, reverse=True)
    assert lr[50] == pytest.approx(2e-3 * 0.55)
    assert lr[99] == pytest.approx(2e-3 * (0.1 + 0.45 * (1 + math.cos(math.pi * 0.99))))
    assert learning_rate(1000, 2e-3, schedule("cosine"), 10, 100) == pytest.approx(2e-4)


def test_warmup_rises_evenly() -> None:
    lr = rates(schedule("constant", warmup=4), 10, 8)
    assert lr == pytest.approx([5e-4, 1e-3, 1.5e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3])
