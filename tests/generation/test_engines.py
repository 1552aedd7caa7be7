"""How the engines behave: refusals, weights too large, threads, and what they do not change."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from charrnn import plugins, processors
from charrnn.errors import InputError, RunError
from charrnn.generation import numpy_network
from charrnn.generation.engines import make_engine
from charrnn.model import Model
from charrnn.models.trained import zero_state
from charrnn.options.cells import CELLS
from tests.generation.models import batch_of, make_counted_model, make_model, params, some_ids


def test_without_a_kernel_torch_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("lstm", batchnorm=True)
    text = Model(model).generate(100, "Hm", seed=1, engine="numpy")
    logits = Model(model).logits("Hm")
    monkeypatch.delitem(numpy_network.CELLS, "lstm")
    without = Model(model)
    assert without.generate(100, "Hm", seed=1) == text
    assert len(without.generate(600, seed=1, until=text[20:40])) > 0
    assert np.abs(without.logits("Hm") - logits).max() < 2e-5
    assert without.logits("").shape == (0, 65)
    with pytest.raises(InputError, match=r"engine=numpy: .* lstm; "):
        without.generate(engine="numpy")


def test_without_the_extra_fast_int8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "import_modules", lambda ending: [])
    with pytest.raises(InputError, match="precision=8: needs the extra fast"):
        Model(make_model()).generate(precision=8)


@pytest.mark.parametrize("how", [{}, {"engine": "torch"}, {"precision": 8}])
@pytest.mark.parametrize("kind", CELLS)
def test_weights_too_large_are_told_of_without_a_warning(kind: str, how: Any) -> None:
    if how.get("precision") == 8:
        pytest.importorskip("numba", reason="the extra fast is not installed")
    model = make_model(kind, batchnorm=True)
    weights = {n: np.full(w.shape, 3e38, np.float32) for n, w in model.weights.items()}
    large = Model(replace(model, weights=weights))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for streams in (1, 4, 5):
            with pytest.raises(RunError, match="not numbers"):
                large.generate(6, num_samples=streams, **how)
        assert large.logits("Hm").shape == (2, 65)


# -- threads -----------------------------------------------------------------------------------


@pytest.fixture
def blas_threads() -> Iterator[Callable[[], set[int]]]:
    """Return the number of threads of NumPy's BLAS, which is two at first."""
    from threadpoolctl import ThreadpoolController

    processors._get_controller.cache_clear()  # other tests may have loaded another BLAS
    blas = ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=2):
        yield lambda: {pool["num_threads"] for pool in blas.info()}


def settings_of_the_process() -> tuple[Any, ...]:
    backends = torch.backends
    return (
        torch.get_num_threads(), torch.get_float32_matmul_precision(),
        backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.cudnn.enabled,
    )  # fmt: skip


def test_eight_threads_share_a_model_and_leave_the_process_as_it_was(
    blas_threads: Callable[[], set[int]],
) -> None:
    model, before = Model(make_counted_model()), blas_threads()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    settings = settings_of_the_process()
    engines = ["numpy", "torch"]
    calls: list[Callable[[int, str], Any]] = [
        lambda seed, engine: model.generate(60, "The ", seed=seed, engine=engine),
        lambda seed, engine: "".join(model.stream(40, "Hm", seed=seed, engine=engine)),
        lambda seed, engine: model.score("The score of seed " + "e" * seed),
        lambda seed, engine: model.logits("The logits" + "s" * seed).tolist(),
    ]
    jobs = [(call, seed, engine) for seed in range(4) for engine in engines for call in calls]

    def result(job: tuple[Callable[[int, str], Any], int, str]) -> Any:
        call, seed, engine = job
        return call(seed, engine)

    alone = [result(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(result, jobs)) == alone
        assert set(pool.map(lambda _: torch.get_num_threads(), range(8))) == {2}
    assert (blas_threads(), settings_of_the_process()) == (before, settings)
    torch.set_num_threads(threads)


def test_blas_has_one_thread_until_the_last_has_left(blas_threads: Callable[[], set[int]]) -> None:
    limit = processors.limit_blas_threads
    first, second, before = limit(), limit(), blas_threads()
    with first:
        second.__enter__()
        assert blas_threads() <= {1}
    assert blas_threads() <= {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before


@pytest.mark.gpu
def test_a_gpu_writes_the_same() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    for kind in CELLS:
        model = make_model(kind, batchnorm=True)
        uniforms, last = np.random.default_rng(9).random((64, 100)), some_ids(model, 64)
        expected, got = (
            make_engine(model, device=device).write(
                last, zero_state(model, 64), uniforms,
                batch_of(params(top_p=0.9), last[:, None], model.vocabulary),
            )[0]
            for device in ("cpu", "cuda")
        )  # fmt: skip
        # a draw within float32's rounding of a boundary may fall to its other side
        assert (got == expected).all(axis=1).mean() > 0.9
