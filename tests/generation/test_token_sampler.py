"""Drawing a character: against the definition, written out plainly here."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

from charrnn.errors import RunError
from charrnn.generation.token_sampler import Batch, TokenSampler
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import params

LETTERS = Vocabulary(list("abcdefghijkl"))

CHOICES = [
    params(),
    params(temperature=0.3),
    params(temperature=7.0),
    params(top_k=4),
    params(top_k=1),
    params(temperature=0),
    params(top_k=1000),
    params(top_p=0.5),
    params(top_p=1.0),
    params(top_p=1e-9),
    params(temperature=1.7, top_k=6, top_p=0.8),
    params(temperature=1e-30),
    params(temperature=5e-324),
    params(temperature=1e30),
    params(temperature=1e300, top_p=0.4),
    params(min_p=0.05),
    params(min_p=0.0),
    params(min_p=1.0),
    params(temperature=2.5, top_k=7, top_p=0.95, min_p=0.2),
    params(ban="adl"),
    params(ban="f", temperature=0),
    params(ban="bce", temperature=1.3, top_k=5, top_p=0.9, min_p=0.01),
]


def plain_probabilities(
    logits: list[float], choice: SamplingParams, vocabulary: Vocabulary = LETTERS
) -> list[float]:
    """The definition, in Python's own numbers."""
    banned = vocabulary.look_up(choice.ban or "").tolist()
    allowed = [v for v in range(len(logits)) if v not in banned]
    temperature = float(choice.temperature)
    likeliest_first = sorted(allowed, key=lambda v: (-logits[v], v))
    if temperature == 0:
        kept = likeliest_first[:1]
        weights = dict.fromkeys(kept, 1.0)
    else:
        highest = max(logits[v] for v in allowed)
        # 1e260 as in `token_sampler`: beyond it a float64 would overflow
        scale = min(1 / temperature, 1e260)
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


def sampler(chosen: SamplingParams | list[SamplingParams], streams: int, size: int = 12) -> Any:
    vocabulary = Vocabulary([chr(ord("a") + v) for v in range(size)])
    return TokenSampler(chosen, vocabulary, [np.empty(0, np.int64)] * streams)


def some_logits(seed: int, rows: int, size: int = 12) -> np.ndarray:
    """Rows of logits, some of them with ties."""
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 3, (rows, size)).astype(np.float32)
    logits[::3] = logits[::3].round()
    return logits


def probabilities(
    logits: np.ndarray, choice: SamplingParams, vocabulary: Vocabulary = LETTERS
) -> np.ndarray:
    """Of one character after another (V,), or of several rows (..., V)."""
    rows = np.asarray(logits, np.float64).reshape(-1, np.shape(logits)[-1])
    each = [plain_probabilities(r, choice, vocabulary) for r in rows.tolist()]
    return np.array(each).reshape(np.shape(logits))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_choice_is_the_inverse_of_the_cumulated_probabilities(choice: SamplingParams) -> None:
    logits, uniforms = some_logits(2, 200), np.random.default_rng(3).random(200)
    drawer, ids = sampler(choice, 200), np.empty(200, np.int64)
    drawer.scores[:] = logits
    with np.errstate(all="raise", under="ignore"):
        drawer.draw(uniforms, ids)
    one = sampler(choice, 1)
    for row, uniform, chosen in zip(logits, uniforms.tolist(), ids.tolist(), strict=True):
        sums = np.cumsum(plain_probabilities(row.tolist(), choice))
        expected = int(np.argmax(sums > uniform))
        assert chosen == expected
        one.scores[:] = row
        assert one.draw_one(uniform) == expected


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_ends_of_the_uniform_numbers_choose_what_can_be(choice: SamplingParams) -> None:
    logits = some_logits(4, 50)
    logits[:, [0, -1]] = -1000  # the first and the last character never
    possible = probabilities(logits, choice) > 0
    one = sampler(choice, 1)
    for row, can_be in zip(logits, possible, strict=True):
        for uniform in (0.0, np.nextafter(1, 0)):
            one.scores[:] = row
            assert can_be[one.draw_one(uniform)]


def test_each_stream_is_chosen_for_in_its_own_way() -> None:
    logits, uniforms = some_logits(12, 10 * len(CHOICES)), np.random.default_rng(13)
    draws = uniforms.random(len(logits))
    each = CHOICES * 10
    drawer, ids = sampler(each, len(each)), np.empty(len(each), np.int64)
    drawer.scores[:] = logits
    with np.errstate(all="raise", under="ignore"):
        drawer.draw(draws, ids)
    for row, uniform, choice, chosen in zip(logits, draws.tolist(), each, ids, strict=True):
        one = sampler(choice, 1)
        one.scores[:] = row
        assert chosen == one.draw_one(uniform), choice


def test_greedy_takes_the_lowest_id_of_a_tie() -> None:
    for choice in (params(temperature=0), params(top_k=1), params(temperature=1e-300, top_k=1)):
        one = sampler(choice, 1, 4)
        one.scores[:] = [1, 3, 3, 2]
        assert one.draw_one(0.99) == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature: float) -> None:
    logits = np.random.default_rng(5).normal(0, 1.5, 20).astype(np.float32)
    draws = 200_000
    choice = params(temperature)
    drawer, ids = sampler(choice, draws, 20), np.empty(draws, np.int64)
    drawer.scores[:] = logits
    drawer.draw(np.random.default_rng(6).random(draws), ids)
    softmax = np.exp(logits.astype(np.float64) / temperature)
    expected = draws * softmax / softmax.sum()
    chi_square = ((np.bincount(ids, minlength=20) - expected) ** 2 / expected).sum()
    assert chi_square < 43.8  # the 0.999 quantile of 19 degrees of freedom


@pytest.mark.parametrize("choice", [params(), params(temperature=0), params(top_k=3)], ids=str)
@pytest.mark.parametrize("bad", [[1, math.nan, 2], [math.inf, 0, 1], [-math.inf] * 3], ids=str)
def test_logits_that_are_no_numbers_are_told_of(choice: SamplingParams, bad: list[float]) -> None:
    one, two = sampler(choice, 1, 3), sampler(choice, 2, 3)
    one.scores[:] = bad
    two.scores[:] = [[1, 2, 3], bad]
    with np.errstate(all="ignore"):
        with pytest.raises(RunError, match="not numbers"):
            one.draw_one(0.5)
        with pytest.raises(RunError, match="not numbers"):
            two.draw(np.array([0.5, 0.5]), np.empty(2, np.int64))


@pytest.mark.parametrize("chosen", [*CHOICES, CHOICES * 12], ids=lambda c: str(c)[:60])
def test_torch_chooses_the_same(chosen: SamplingParams | list[SamplingParams]) -> None:
    import torch

    from charrnn.generation.torch_engine import TorchTokenSampler

    N = 12 * len(CHOICES)
    logits, uniforms = some_logits(7, N), np.random.default_rng(8).random(N)
    drawer, ids = sampler(chosen, N), np.empty(N, np.int64)
    drawer.scores[:] = logits
    drawer.draw(uniforms, ids)
    with_torch = TorchTokenSampler(Batch(chosen, N, LETTERS), [], "cpu")
    got = with_torch.draw(torch.from_numpy(logits), torch.from_numpy(uniforms))
    assert got.tolist() == ids.tolist()
    assert with_torch.are_numbers(torch.from_numpy(logits)).item()


@pytest.fixture(scope="module")
def compiled_draw() -> Any:
    """The loop's draw, alone."""
    numba = pytest.importorskip("numba", reason="the extra fast is not installed")
    from charrnn.generation.numba_loop import draw

    @numba.njit(error_model="numpy")  # as the loop is compiled
    def drawn(*arguments: Any) -> int:
        return draw(*arguments)

    in_float32 = np.zeros((1, 1, 1), np.float32)
    return functools.partial(drawn, in_float32)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_compiled_loop_chooses_the_same(choice: SamplingParams, compiled_draw: Any) -> None:
    from charrnn.generation import numba_engine

    logits, uniforms = some_logits(10, 300), np.random.default_rng(11).random(300)
    one, size = sampler(choice, 1), logits.shape[1]
    weights, ranked, heap = np.empty(size), np.empty(size, np.int64), np.empty(size, np.int64)
    batch = Batch(choice, 1, LETTERS)
    numbers = batch.greedy[0], batch.scale[0, 0], numba_engine.compiled_limits(batch)[0]
    logits[:, batch.banned[0]] = -np.inf  # as the engine's biases make them
    for row, uniform in zip(logits, uniforms.tolist(), strict=True):
        one.scores[:] = row
        chosen = compiled_draw(row, weights, ranked, heap, uniform, *numbers)
        assert chosen == one.draw_one(uniform)
