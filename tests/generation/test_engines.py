"""The engines: refusals, weights too large, threads, and what they do not change."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch

from charrnn import processors
from charrnn.errors import RunError
from charrnn.model import Model
from charrnn.options.cells import CELLS
from tests.generation.models import (
    fill_weights,
    make_counted_model,
    make_model,
    make_torch_model,
)


@pytest.mark.parametrize("make", [Model, make_torch_model])
@pytest.mark.parametrize("kind", CELLS)
def test_weights_too_large_are_refused_without_a_warning(kind: str, make: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        large = make(fill_weights(make_model(kind, batchnorm=True), 3e38))
        for streams in (1, 4, 5):
            for temperature in (0, 0.8):
                with pytest.raises(RunError, match="not numbers"):
                    large.generate(6, num_samples=streams, temperature=temperature)
        assert large.logits("Hm").shape == (2, 65)


Threads = Callable[[], set[int]]


@pytest.fixture
def blas_threads() -> Iterator[Threads]:
    """Return the number of threads of NumPy's BLAS, which is two at first."""
    from threadpoolctl import ThreadpoolController

    processors._get_controller.cache_clear()  # other tests may have loaded another BLAS
    blas = ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=2):
        yield lambda: {pool["num_threads"] for pool in blas.info()}


def test_eight_threads_share_a_model_and_change_no_setting(blas_threads: Threads) -> None:
    trained, jobs = make_counted_model(), list[Callable[[], Any]]()
    model, in_torch = Model(trained), make_torch_model(trained)
    for seed in range(4):
        for each in (model, in_torch):
            jobs.append(partial(each.generate, 60, "The ", seed=seed))
            jobs.append(lambda each=each, seed=seed: "".join(each.stream(40, "Hm", seed=seed)))
        jobs.append(partial(model.score, "The score of seed " + "e" * seed))
        jobs.append(lambda seed=seed: model.logits("The logits" + "s" * seed).tolist())

    def read_settings() -> tuple[Any, ...]:
        threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
        cudnn = torch.backends.cudnn
        return blas_threads(), threads, precision, cudnn.allow_tf32, cudnn.enabled

    before = read_settings()
    alone = [job() for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda job: job(), jobs)) == alone
    assert read_settings() == before


def test_blas_is_limited_and_restored_by_any_thread(blas_threads: Threads) -> None:
    def read_limit() -> set[int]:
        with processors.limit_blas_threads():
            return blas_threads()

    before = blas_threads()
    with ThreadPoolExecutor(1) as pool:
        # also by another thread than the first, which lives on
        for limit in (pool.submit(read_limit).result(), read_limit()):
            assert limit <= {1}
            assert blas_threads() == before
