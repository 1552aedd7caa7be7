"""The engines: weights too large, and threads that share a model and change no setting."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info

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


def test_eight_threads_share_a_model_and_change_no_setting() -> None:
    trained, jobs = make_counted_model(), list[Callable[[], Any]]()
    model, in_torch = Model(trained), make_torch_model(trained)
    for seed in range(4):
        for each in (model, in_torch):
            jobs.append(partial(each.generate, 60, "The ", seed=seed))
            jobs.append(lambda each=each, seed=seed: "".join(each.stream(40, "Hm", seed=seed)))
        jobs.append(partial(model.score, "The score of seed " + "e" * seed))
        jobs.append(lambda seed=seed: model.logits("The logits" + "s" * seed).tolist())

    def read_settings() -> tuple[Any, ...]:
        cudnn = torch.backends.cudnn
        precision = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.enabled
        return torch.get_num_threads(), precision, threadpool_info()

    before = read_settings()
    alone = [job() for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda job: job(), jobs)) == alone
    assert read_settings() == before
