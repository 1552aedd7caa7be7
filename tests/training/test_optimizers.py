"""charrnn's optimizers and schedules beside torch's, and the definitions of both."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from charrnn.training import Muon, schedules
from charrnn.training.muon import ADAMW_RMS


def tensors(seed: int = 0) -> list[nn.Parameter]:
    drawn = torch.Generator().manual_seed(seed)
    shapes = [(8, 4), (12, 6), (12,), (5, 3)]
    return [nn.Parameter(torch.randn(s, generator=drawn, dtype=torch.float64)) for s in shapes]


def give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    drawn = torch.Generator().manual_seed(100 + step)
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=drawn, dtype=p.dtype)


def make_muon(parameters: list[nn.Parameter], **options: Any) -> Muon:
    names = [f"recurrent.0.{name}" for name in ("weight_ih_l0", "weight_hh_l0", "bias")]
    return Muon(list(zip([*names, "embedding"], parameters, strict=True)), 0.1, **options)


def test_muon_takes_adamws_step_for_all_but_the_recurrent_matrices() -> None:
    """Check that only the matrices decay, and that a closure returns the loss."""
    ours, theirs = tensors(), tensors()
    before = [p.detach().clone() for p in ours[:2]]
    optimizer = make_muon(ours, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.5)
    adamw = torch.optim.AdamW(theirs[2:], 0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0)
    for step in range(5):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        for p in ours[:2]:
            p.grad = torch.zeros_like(p)
        assert optimizer.step(lambda: torch.tensor(3.0)).item() == 3
        adamw.step()
    for one, other in zip(ours[2:], theirs[2:], strict=True):
        torch.testing.assert_close(one, other)
    for p, old in zip(ours, before, strict=False):
        torch.testing.assert_close(p.detach(), old * 0.95**5)


def test_muon_makes_the_singular_values_of_a_step_equal() -> None:
    ours = tensors()
    before = [p.detach().clone() for p in ours[:2]]
    optimizer = make_muon(ours, weight_decay=0)
    give_gradients(ours, 0)
    gradients = [p.grad for p in ours[:2]]
    optimizer.step()
    for p, old, gradient in zip(ours, before, gradients, strict=False):
        scale = 0.1 * ADAMW_RMS * max(p.shape) ** 0.5
        step = (old - p.detach()) / scale
        values = torch.linalg.svdvals(step)
        assert values.min() > 0.48
        assert values.max() < 1.52
        assert (step * gradient).sum() > 0.48 * torch.linalg.svdvals(gradient).sum()


def test_threads_share_out_muons_matrices_to_the_bit() -> None:
    ours, theirs = tensors(), tensors()
    alone, together = make_muon(ours), make_muon(theirs, threads=3)
    for step in range(3):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        alone.step()
        together.step()
        copied = copy.deepcopy(together)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    copied.step()


Make = Callable[[torch.optim.Optimizer], LRScheduler]
# a schedule, and the factor of the rate at some steps
cosine_at_99 = 0.1 + 0.45 * (1 + math.cos(math.pi * 0.99))
SCHEDULES: list[tuple[Make, dict[int, float]]] = [
    # halved when every fifth epoch ends
    (partial(schedules.step, steps_per_epoch=6), {0: 1, 29: 1, 30: 0.5, 59: 0.5, 299: 2**-9}),
    (partial(schedules.cosine, total_steps=100),
     {0: 1, 50: 0.55, 99: cosine_at_99, 100: 0.1, 1000: 0.1}),
    (partial(schedules.cosine, total_steps=110, warmup_steps=10),
     {9: 1, 10: 1, 60: 0.55, 110: 0.1}),
    (partial(schedules.linear, total_steps=110, warmup_steps=10),
     {9: 1, 10: 1, 60: 0.5, 110: 0, 119: 0}),
    (partial(schedules.linear, total_steps=100, final_factor=0.25), {24: 0.5, 49: 1, 100: 0.25}),
    (partial(schedules.constant, warmup_steps=4), {0: 0.25, 1: 0.5, 2: 0.75, 3: 1, 7: 1}),
]  # fmt: skip


def begin(make: Make, lr: float = 2e-3) -> tuple[torch.optim.Optimizer, LRScheduler]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    return optimizer, make(optimizer)


def take_steps(scheduler: LRScheduler, count: int) -> None:
    for _ in range(count):
        scheduler.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("make", "factors"), SCHEDULES)
def test_the_rate_that_each_step_is_trained_with(make: Make, factors: dict[int, float]) -> None:
    optimizer, scheduler = begin(make)
    for step in range(max(factors) + 1):
        if step in factors:
            rate = optimizer.param_groups[0]["lr"]
            assert rate == pytest.approx(2e-3 * factors[step], rel=1e-12), step
        take_steps(scheduler, 1)


@pytest.mark.parametrize("step", [0, 9, 10])
def test_a_restored_schedule_goes_on_with_todays_rate_and_options(step: int) -> None:
    old = partial(schedules.step, steps_per_epoch=5, decay_every=1)
    new = partial(schedules.step, steps_per_epoch=5, decay_every=2, warmup_steps=3)
    _, before = begin(old, lr=1.0)
    take_steps(before, step)
    restored, expected = begin(new, lr=0.5), begin(new, lr=0.5)
    restored[1].load_state_dict(before.state_dict())
    take_steps(expected[1], step)
    for _ in range(12):
        rates = [optimizer.param_groups[0]["lr"] for optimizer, _ in (restored, expected)]
        assert rates == 2 * expected[1].get_last_lr() == 2 * restored[1].get_last_lr()
        for _, scheduler in (restored, expected):
            take_steps(scheduler, 1)
