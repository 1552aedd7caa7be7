"""charrnn's optimizers beside torch's own and the definitions that they are made from."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from charrnn.training import Muon
from charrnn.training.muon import ADAMW_RMS, QUINTICS, orthogonalize


def tensors(seed: int = 0) -> list[nn.Parameter]:
    drawn = torch.Generator().manual_seed(seed)
    shapes = [(8, 4), (12, 6), (12,), (5, 3)]
    return [nn.Parameter(torch.randn(s, generator=drawn, dtype=torch.float64)) for s in shapes]


def give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    drawn = torch.Generator().manual_seed(100 + step)
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=drawn, dtype=p.dtype)


NAMES = ("recurrent.0.weight_ih_l0", "recurrent.0.weight_hh_l0", "recurrent.0.bias", "embedding")


def test_muon_takes_adamws_step_for_all_but_the_recurrent_matrices() -> None:
    """Which alone decay, and a closure gives the loss."""
    ours, theirs = tensors(), tensors()
    before = [p.detach().clone() for p in ours[:2]]
    named = list(zip(NAMES, ours, strict=True))
    optimizer = Muon(named, 0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.5)
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
    optimizer = Muon(list(zip(NAMES, ours, strict=True)), 0.1, weight_decay=0)
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


@pytest.mark.parametrize("shape", [(200, 64), (64, 200), (64, 64)])
@pytest.mark.parametrize("iterations", [0, 1, 2, 3])
def test_orthogonalized_takes_the_quintic_of_each_singular_value(
    shape: tuple[int, ...], iterations: int
) -> None:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    drawn = drawn @ torch.diag(torch.logspace(0, -3, shape[1]))  # few directions, as gradients have
    left, values, right = torch.linalg.svd(drawn.double(), full_matrices=False)
    values = values / values.norm()
    for a, b, c in QUINTICS[:iterations]:
        values = a * values + b * values**3 + c * values**5
    exact = left @ torch.diag(values) @ right
    found = orthogonalize(drawn, iterations).double()
    assert (found - exact).norm() < 0.05 * exact.norm()  # products in bf16 have three digits


def test_threads_share_out_muons_matrices_to_the_bit() -> None:
    ours, theirs = tensors(), tensors()
    alone = Muon(list(zip(NAMES, ours, strict=True)), 0.1)
    together = Muon(list(zip(NAMES, theirs, strict=True)), 0.1, threads=3)
    for step in range(3):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        alone.step()
        together.step()
        copied = copy.deepcopy(together)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    copied.step()
