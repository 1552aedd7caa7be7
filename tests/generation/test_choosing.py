"""Choosing a character: against the definition, written out plainly here."""

from __future__ import annotations

import math

import numpy as np
import pytest

from charrnn.errors import RunError
from charrnn.generation.choosing import Choice, Choices, Chooser

CHOICES = [
    Choice(),
    Choice(temperature=0.3),
    Choice(temperature=7.0),
    Choice(top_k=4),
    Choice(top_k=1),
    Choice(temperature=0),
    Choice(top_k=1000),
    Choice(top_p=0.5),
    Choice(top_p=1.0),
    Choice(top_p=1e-9),
    Choice(temperature=1.7, top_k=6, top_p=0.8),
    Choice(temperature=1e-30),
    Choice(temperature=5e-324),
    Choice(temperature=1e30),
    Choice(temperature=1e300, top_p=0.4),
    Choice(min_p=0.05),
    Choice(min_p=0.0),
    Choice(min_p=1.0),
    Choice(temperature=2.5, top_k=7, top_p=0.95, min_p=0.2),
    Choice(banned=(0, 3, 11)),
    Choice(banned=(5,), temperature=0),
    Choice(banned=(1, 2, 4), temperature=1.3, top_k=5, top_p=0.9, min_p=0.01),
]


def plain_probabilities(logits: list[float], choice: Choice) -> list[float]:
    """The definition, in Python's own numbers."""
    allowed = [v for v in range(len(logits)) if v not in choice.banned]
    likeliest_first = sorted(allowed, key=lambda v: (-logits[v], v))
    if choice.temperature == 0:
        kept = likeliest_first[:1]
        weights = dict.fromkeys(kept, 1.0)
    else:
        highest = max(logits[v] for v in allowed)
        # 1e260 as in `choosing`: beyond it a float64 would overflow
        scale = min(1 / choice.temperature, 1e260)
        weights = {v: math.exp((logits[v] - highest) * scale) for v in likeliest_first}
        kept = likeliest_first[: choice.top_k]
        if choice.top_p is not None:
            total, reached = sum(weights[v] for v in kept), 0.0
            for count, v in enumerate(kept, start=1):
                reached += weights[v]
                if reached >= choice.top_p * total:
                    kept = kept[:count]
                    break
        kept = [v for v in kept if weights[v] >= (choice.min_p or 0)]
    total = sum(weights[v] for v in kept)
    return [weights[v] / total if v in kept else 0.0 for v in range(len(logits))]


def some_logits(seed: int, rows: int, size: int = 12) -> np.ndarray:
    """Rows of logits, some of them with ties."""
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 3, (rows, size)).astype(np.float32)
    logits[::3] = logits[::3].round()
    return logits


def probabilities(logits: np.ndarray, choice: Choice) -> np.ndarray:
    """Of one character after another (V,), or of several rows (..., V)."""
    rows = np.asarray(logits, np.float64).reshape(-1, np.shape(logits)[-1])
    return np.array([plain_probabilities(r, choice) for r in rows.tolist()]).reshape(
        np.shape(logits)
    )


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_choice_is_the_inverse_of_the_cumulated_probabilities(choice: Choice) -> None:
    logits, uniforms = some_logits(2, 200), np.random.default_rng(3).random(200)
    chooser, ids = Chooser(choice, 200, logits.shape[1]), np.empty(200, np.int64)
    chooser.scores[:] = logits
    with np.errstate(all="raise", under="ignore"):
        chooser.choose(uniforms, ids)
    one = Chooser(choice, 1, logits.shape[1])
    for row, uniform, chosen in zip(logits, uniforms.tolist(), ids.tolist(), strict=True):
        sums = np.cumsum(plain_probabilities(row.tolist(), choice))
        expected = int(np.argmax(sums > uniform))
        assert chosen == expected
        one.scores[:] = row
        assert one.choose_one(uniform) == expected


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_ends_of_the_uniform_numbers_choose_what_can_be(choice: Choice) -> None:
    logits = some_logits(4, 50)
    logits[:, [0, -1]] = -1000  # the first and the last character never
    possible = probabilities(logits, choice) > 0
    one = Chooser(choice, 1, logits.shape[1])
    for row, can_be in zip(logits, possible, strict=True):
        for uniform in (0.0, np.nextafter(1, 0)):
            one.scores[:] = row
            assert can_be[one.choose_one(uniform)]


def test_each_stream_is_chosen_for_in_its_own_way() -> None:
    logits, uniforms = some_logits(12, 10 * len(CHOICES)), np.random.default_rng(13)
    draws = uniforms.random(len(logits))
    each = CHOICES * 10
    chooser, ids = Chooser(each, len(each), logits.shape[1]), np.empty(len(each), np.int64)
    chooser.scores[:] = logits
    with np.errstate(all="raise", under="ignore"):
        chooser.choose(draws, ids)
    for row, uniform, choice, chosen in zip(logits, draws.tolist(), each, ids, strict=True):
        one = Chooser(choice, 1, len(row))
        one.scores[:] = row
        assert chosen == one.choose_one(uniform), choice


def test_greedy_takes_the_lowest_id_of_a_tie() -> None:
    for choice in (Choice(temperature=0), Choice(top_k=1), Choice(temperature=1e-300, top_k=1)):
        one = Chooser(choice, 1, 4)
        one.scores[:] = [1, 3, 3, 2]
        assert one.choose_one(0.99) == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature: float) -> None:
    logits = np.random.default_rng(5).normal(0, 1.5, 20).astype(np.float32)
    draws = 200_000
    choice = Choice(temperature)
    chooser, ids = Chooser(choice, draws, 20), np.empty(draws, np.int64)
    chooser.scores[:] = logits
    chooser.choose(np.random.default_rng(6).random(draws), ids)
    softmax = np.exp(logits.astype(np.float64) / temperature)
    expected = draws * softmax / softmax.sum()
    chi_square = ((np.bincount(ids, minlength=20) - expected) ** 2 / expected).sum()
    assert chi_square < 43.8  # the 0.999 quantile of 19 degrees of freedom


@pytest.mark.parametrize("choice", [Choice(), Choice(temperature=0), Choice(top_k=3)], ids=str)
@pytest.mark.parametrize("bad", [[1, math.nan, 2], [math.inf, 0, 1], [-math.inf] * 3], ids=str)
def test_logits_that_are_no_numbers_are_told_of(choice: Choice, bad: list[float]) -> None:
    one, two = Chooser(choice, 1, 3), Chooser(choice, 2, 3)
    one.scores[:] = bad
    two.scores[:] = [[1, 2, 3], bad]
    with np.errstate(all="ignore"):
        with pytest.raises(RunError, match="not numbers"):
            one.choose_one(0.5)
        with pytest.raises(RunError, match="not numbers"):
            two.choose(np.array([0.5, 0.5]), np.empty(2, np.int64))


@pytest.mark.parametrize("chosen", [*CHOICES, CHOICES * 12], ids=lambda c: str(c)[:60])
def test_torch_chooses_the_same(chosen: Choice | list[Choice]) -> None:
    import torch

    from charrnn.generation.torch_engine import TorchChooser

    N = 12 * len(CHOICES)
    logits, uniforms = some_logits(7, N), np.random.default_rng(8).random(N)
    chooser, ids = Chooser(chosen, N, logits.shape[1]), np.empty(N, np.int64)
    chooser.scores[:] = logits
    chooser.choose(uniforms, ids)
    with_torch = TorchChooser(Choices(chosen, N, logits.shape[1]), "cpu")
    got = with_torch.choose(torch.from_numpy(logits), torch.from_numpy(uniforms))
    assert got.tolist() == ids.tolist()
    assert with_torch.are_numbers(torch.from_numpy(logits)).item()


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_compiled_loop_chooses_the_same(choice: Choice) -> None:
    pytest.importorskip("numba", reason="the extra fast is not installed")
    from charrnn.generation import numba_engine, numba_loop

    logits, uniforms = some_logits(10, 300), np.random.default_rng(11).random(300)
    one, size = Chooser(choice, 1, logits.shape[1]), logits.shape[1]
    weights, ranked, heap = np.empty(size), np.empty(size, np.int64), np.empty(size, np.int64)
    choices = Choices(choice, 1, size)
    numbers = [column[0] for column in numba_engine.as_numbers(choices)]
    logits[:, choices.banned[0]] = -np.inf  # as the engine's biases make them
    for row, uniform in zip(logits, uniforms.tolist(), strict=True):
        one.scores[:] = row
        chosen = numba_loop.choose(row, weights, ranked, heap, uniform, *numbers)
        assert chosen == one.choose_one(uniform)
