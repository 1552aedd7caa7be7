"""Whatever steps a model, held to the textbook's equations and to the definition of a draw.

The network in JavaScript is held to NumPy's in tests/extras/page, int8 in tests/extras/fast.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from charrnn.counts.mixing import COUNTS_ONLY
from charrnn.errors import RunError
from charrnn.generation.engines import make_engine
from charrnn.generation.library_threads import single_blas_thread
from charrnn.generation.numpy_engine import select_streams, zero_state
from charrnn.generation.token_sampler import log_softmax
from charrnn.model import Model
from charrnn.models.trained import Trained, TrainedEnsemble
from charrnn.networks.cells import CELLS
from charrnn.networks.network import network_of
from charrnn.networks.network_ensemble import any_network_of
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.definition import drawn, log_probabilities, probabilities
from tests.generation.models import counted, params, trained_model

# hidden sizes that fill no block, with rows left over
NETWORKS: dict[str, dict[str, Any]] = {
    "1 layer": {"num_layers": 1},
    "3 layers": {"num_layers": 3, "hidden_size": 33},
    "batchnorm": {"batchnorm": True},
    "sum": {"skip": "sum"},
    "sum of 3, batchnorm": {"num_layers": 3, "skip": "sum", "batchnorm": True, "hidden_size": 13},
}
OTHERS: dict[str, Callable[[], Trained]] = {
    "counts": counted,
    "gru, counts": lambda: counted("gru", skip="sum"),
    "counts alone": lambda: counted(weights=COUNTS_ONLY),
    "ensemble": lambda: TrainedEnsemble(
        (trained_model(seed=1), trained_model("gru", seed=2, num_layers=1), trained_model("rnn")),
        (0.5, 0.3, 0.2),
    ),
    "ensemble, counts": lambda: TrainedEnsemble((counted(seed=1), counted("gru", seed=2))),
}
MODELS: dict[str, Callable[[], Trained]] = {
    **{
        f"{kind}, {name}": lambda kind=kind, how=how: trained_model(kind, **how)
        for kind in CELLS
        for name, how in NETWORKS.items()
    },
    **OTHERS,
}
CHOICES = [
    params(),
    params(0.0),
    params(0.5, top_k=3),
    params(1.5, min_p=0.1, ban="abi"),
    params(2.0, top_p=0.7),
    params(3.0, ban="\n", logit_bias={"e": -4.0, "aou": 1.5}),
    params(dry_multiplier=2.0, dry_base=1.5, dry_allowed_length=1),
    params(1.7, top_k=6, top_p=0.8, min_p=0.01),
]


def engine_of(name: str, model: Trained) -> Any:
    if name == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    return make_engine(model, name)


def some_ids(model: Trained, *shape: int, seed: int = 1) -> np.ndarray:
    """Random characters, with a run of blanks among them."""
    ids = np.random.default_rng(seed).integers(0, len(model.vocabulary), shape)
    ids[..., 10:20] = model.vocabulary.encode(" ")[0]
    return ids


def assert_same_state(one: Any, other: Any, atol: float = 1e-5) -> None:
    for layer, beside in zip(one, other, strict=True):
        for vectors, others in zip(layer, beside, strict=True):
            np.testing.assert_allclose(vectors, others, atol=atol)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_predicts_as_the_textbook(name: str, engine: str) -> None:
    model = MODELS[name]()
    reader, ids = make_engine(model, engine), some_ids(model, 3, 40)
    logits, state = reader.read(ids, zero_state(model, 3))
    assert logits.dtype == np.float32
    for n in range(3):
        expected = log_probabilities(model, ids[n])
        np.testing.assert_allclose(log_softmax(logits[n]), expected, atol=5e-5)
        alone, _ = reader.read(ids[[n]], zero_state(model, 1))
        np.testing.assert_allclose(log_softmax(alone[0]), expected, atol=5e-5)
    # the state is all that is carried, and what is given is left as it is
    given = reader.advance(ids[:, :11], zero_state(model, 3))
    kept = select_streams(given, range(3))
    rest, after = reader.read(ids[:, 11:], given)
    np.testing.assert_allclose(rest, logits[:, 11:], atol=1e-4)
    assert_same_state(after, state)
    assert_same_state(given, kept, 0)


@pytest.mark.parametrize(
    ("engine", "name"),  # the compiled loop steps one model
    [(e, n) for e in ("numpy", "numba", "torch") for n in MODELS
     if e != "numba" or not n.startswith("ensemble")],
)  # fmt: skip
def test_writes_what_the_definition_draws(name: str, engine: str) -> None:
    """Each stream in its own way, in two calls; and the same alone."""
    model = MODELS[name]()
    writer, N, T = engine_of(engine, model), len(CHOICES), 40
    uniforms = np.random.default_rng(9).random((N, T))
    last = some_ids(model, N, seed=4)
    first, state = writer.write(last, zero_state(model, N), uniforms[:, :15], CHOICES)
    texts = [np.append(own, ids) for own, ids in zip(last[:, None], first, strict=True)]
    rest, state = writer.write(first[:, -1], state, uniforms[:, 15:], CHOICES, texts=texts)
    written = np.concatenate([last[:, None], first, rest], 1)
    assert len(np.unique(written)) > 10
    for n, choice in enumerate(CHOICES):
        text = model.vocabulary.decode(written[n])
        logs = log_probabilities(model, written[n, :-1])
        for t, uniform in enumerate(uniforms[n]):
            each = probabilities(logs[t], choice, model.vocabulary, text[: t + 1])
            # a draw within rounding of a boundary may fall to its other side
            allowed = {drawn(each, u) for u in (uniform, max(uniform - 1e-4, 0), uniform + 1e-4)}
            assert written[n, t + 1] in allowed, (choice, t)
    for n in (0, 6):
        how = last[[n]], zero_state(model, 1), uniforms[[n]], CHOICES[n]
        alone, after = writer.write(*how)
        np.testing.assert_array_equal(alone[0], written[n, 1:])
        assert_same_state(after, select_streams(state, [n]), 1e-4)


@pytest.mark.parametrize("device", ["cpu", pytest.param("meta", marks=pytest.mark.slow)])
def test_counts_predict_on_a_gpu_as_on_a_cpu(device: str) -> None:
    """By tensors alone: a meta device has no numbers that could be copied to the CPU."""
    model = counted()
    table, network = model.counts.table, any_network_of(model).eval()
    ids, nodes = torch.from_numpy(some_ids(model, 3, 200)), torch.from_numpy(table.zero_state(3))
    read = network.read(ids, nodes)
    for tensor, array in zip(read, table.read(ids.numpy(), nodes.numpy()), strict=True):
        np.testing.assert_allclose(tensor.numpy(), array, atol=1e-6)
    logits, state = network.to(device)(ids.to(device))
    assert logits.shape == (3, 200, 65)
    assert network(ids.to(device), state)[1][-1][0].shape == nodes.shape


@pytest.mark.parametrize("kind", CELLS)
def test_all_write_the_same_in_batches_of_any_size(kind: str) -> None:
    model = trained_model(kind, hidden_size=65, skip="sum")
    uniforms, last = np.random.default_rng(9).random((11, 120)), some_ids(model, 11, seed=4)
    expected, _ = make_engine(model, "numpy").write(last, zero_state(model, 11), uniforms, params())
    for engine in ("numpy", "numba", "torch"):
        for N in (1, 2, 4, 7, 11):
            asked = last[:N], zero_state(model, N), uniforms[:N], params()
            written, _ = engine_of(engine, model).write(*asked)
            np.testing.assert_array_equal(written, expected[:N])
        needed = np.array([120, 120, 119, 12, 0, 0, 0, 0, 7, 120, 1])
        written, _ = engine_of(engine, model).write(*asked, needed)
        for n, length in enumerate(needed):
            np.testing.assert_array_equal(written[n, :length], expected[n, :length])


@pytest.mark.parametrize("kind", CELLS)
def test_carries_what_the_network_carries(kind: str) -> None:
    model = trained_model(kind, num_layers=3, batchnorm=True, seed=2)
    ids = some_ids(model, 2, 50)
    state = make_engine(model, "numpy").advance(ids, zero_state(model, 2))
    with torch.no_grad():
        expected = network_of(model).eval()(torch.from_numpy(ids))[1]
    assert_same_state(state, [[part.numpy() for part in layer] for layer in expected])


def test_a_table_of_many_rows_is_that_of_few() -> None:
    many = Vocabulary([chr(0x4E00 + i) for i in range(2500)])
    model = trained_model(vocabulary=many, hidden_size=4)
    ids = np.array([0, 1023, 1024, 2048, 2499])
    logits = make_engine(model, "numpy").read(ids[None], zero_state(model, 1))[0]
    np.testing.assert_allclose(log_softmax(logits[0]), log_probabilities(model, ids), atol=5e-5)


@pytest.mark.parametrize("engine", ["numpy", "numba", "torch"])
@pytest.mark.parametrize("streams", [1, 4, 5])
def test_weights_too_large_to_compute_with_are_told_of(engine: str, streams: int) -> None:
    model = trained_model("rnn", num_layers=1)
    weights = {**model.weights, "decoder.weight": np.full((65, 24), 3e38, np.float32)}
    weights["recurrent.0.bias_ih_l0"] = np.full(24, 20, np.float32)  # all hidden numbers are 1
    large = Model(replace(model, weights=weights))
    with pytest.raises(RunError, match="not numbers"):
        large.generate(6, num_samples=streams, engine=engine)


@pytest.mark.parametrize("kind", CELLS)
def test_weights_too_large_warn_of_nothing(kind: str) -> None:
    model = trained_model(kind, batchnorm=True)
    large = {n: np.full(w.shape, 3e38, np.float32) for n, w in model.weights.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RunError, match="not numbers"):
            Model(replace(model, weights=large)).generate(20)
        assert Model(replace(model, weights=large)).logits("Hm").shape == (2, 65)


# -- threads -----------------------------------------------------------------------------------


@pytest.fixture
def blas_threads() -> Iterator[Callable[[], set[int]]]:
    """How many threads NumPy's BLAS would use: two, to begin with."""
    from threadpoolctl import ThreadpoolController

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
    model, before = Model(counted()), blas_threads()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    settings = settings_of_the_process()
    engines = ["numpy", "torch", *(["numba"] if find_spec("numba") else [])]
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
    first, second, before = single_blas_thread(), single_blas_thread(), blas_threads()
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
        model = trained_model(kind, batchnorm=True)
        uniforms, last = np.random.default_rng(9).random((64, 100)), some_ids(model, 64)
        how: tuple[Any, SamplingParams] = (uniforms, params(top_p=0.9))
        expected, got = (
            make_engine(model, name).write(last, zero_state(model, 64), *how)[0]
            for name in ("numpy", "torch")
        )
        # a draw within float32's rounding of a boundary may fall to its other side
        assert (got == expected).all(axis=1).mean() > 0.9
