"""The engines: against the textbook's equations in float64, the network, and one another."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError, RunError
from charrnn.generation import engines, numba_terms, numpy_layers
from charrnn.generation.engines import Engines, fastest, has_kernel
from charrnn.generation.numpy_engine import NumpyEngine
from charrnn.generation.state import beginning, rows_of
from charrnn.generation.weights import fold
from charrnn.model import Model
from charrnn.models.ensemble import TrainedEnsemble
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from tests.generation.models import params, trained_model
from tests.textbook import EQUATIONS

# What stands between the layers, and with how many of them
STACKS: list[tuple[int, dict[str, Any]]] = [
    *((layers, {}) for layers in (1, 2, 3)),
    *((layers, {"batchnorm": True}) for layers in (1, 2, 3)),
    (3, {"skip": "sum"}),
    (3, {"batchnorm": True, "skip": "sum"}),
]


def named(options: dict[str, Any]) -> list[str]:
    return [name if value is True else value for name, value in options.items()]


ARCHITECTURES = [
    pytest.param(kind, layers, options, id="-".join((kind, str(layers), *named(options))))
    for kind in numpy_layers.KERNELS
    for layers, options in STACKS
]


def textbook_logits(model: TrainedModel, ids: np.ndarray) -> np.ndarray:
    """Logits (T, V) of one stream from the zero state: a cell's equations, a vector at a time."""
    a = model.architecture
    w = {name: weight.astype(np.float64) for name, weight in model.weights.items()}
    hidden = [np.zeros(a.hidden_size) for _ in range(a.num_layers)]
    cell = [np.zeros(a.hidden_size) for _ in range(a.num_layers)]
    logits = []
    for id_ in ids:
        x, outputs = w["embedding.weight"][id_], []
        for k in range(a.num_layers):
            read = w[f"recurrent.{k}.weight_ih_l0"] @ x + w[f"recurrent.{k}.bias_ih_l0"]
            own = w[f"recurrent.{k}.weight_hh_l0"] @ hidden[k] + w[f"recurrent.{k}.bias_hh_l0"]
            hidden[k], cell[k] = EQUATIONS[a.kind](read, own, hidden[k], cell[k])
            x = hidden[k]
            if a.batchnorm:
                mean, var = w[f"norms.{k}.running_mean"], w[f"norms.{k}.running_var"]
                x = (x - mean) / np.sqrt(var + 1e-5)
                x = x * w[f"norms.{k}.weight"] + w[f"norms.{k}.bias"]
            outputs.append(x)
        if a.skip == "sum":
            x = sum(outputs)
        logits.append(w["decoder.weight"] @ x + w["decoder.bias"])
    return np.array(logits)


def some_ids(model: TrainedModel, *shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, len(model.vocabulary), shape)


@pytest.mark.parametrize(("kind", "layers", "options"), ARCHITECTURES)
def test_reading_follows_the_textbook(kind: str, layers: int, options: dict[str, Any]) -> None:
    model = trained_model(kind, num_layers=layers, **options)
    engine, ids = Engines(model).numpy, some_ids(model, 3, 40)
    logits, _ = engine.read(ids, beginning(model, 3))
    assert logits.shape == (3, 40, len(model.vocabulary))
    assert logits.dtype == np.float32
    for n in range(3):
        expected = textbook_logits(model, ids[n])
        rounding = 2e-6 * np.abs(expected).max()
        assert np.abs(logits[n] - expected).max() < rounding
        alone, _ = engine.read(ids[n : n + 1], beginning(model, 1))
        assert np.abs(alone[0] - expected).max() < rounding


@pytest.mark.parametrize(("kind", "layers", "options"), ARCHITECTURES)
def test_reading_follows_the_network(kind: str, layers: int, options: dict[str, Any]) -> None:
    import torch

    from charrnn.network import network_of

    model = trained_model(kind, num_layers=layers, seed=2, **options)
    engine, ids = Engines(model).numpy, some_ids(model, 2, 50)
    logits, state = engine.read(ids, beginning(model, 2))
    with torch.no_grad():
        expected, expected_state = network_of(model).eval()(torch.from_numpy(ids))
    assert np.abs(logits - expected.numpy()).max() < 2e-6 * expected.abs().max().item()
    for layer, expected_layer in zip(state, expected_state, strict=True):
        for vectors, expected_vectors in zip(layer, expected_layer, strict=True):
            assert np.abs(vectors - expected_vectors.numpy()).max() < 1e-5


@pytest.mark.parametrize("kind", numpy_layers.KERNELS)
@pytest.mark.parametrize("streams", [1, 5])
def test_the_state_is_all_that_is_carried(kind: str, streams: int) -> None:
    model = trained_model(kind)
    engine, ids = Engines(model).numpy, some_ids(model, streams, 30)
    whole, after = engine.read(ids, beginning(model, streams))
    state = engine.advance(ids[:, :11], beginning(model, streams))
    untouched = rows_of(state, range(streams))
    rest, rest_after = engine.read(ids[:, 11:], state)
    assert np.abs(rest - whole[:, 11:]).max() < 1e-5
    for layer, layer_after, kept in zip(rest_after, after, state, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(layer, layer_after, strict=True))
        assert all(v.shape == (streams, model.architecture.hidden_size) for v in kept)
    for given, before in zip(state, untouched, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))


def test_weights_may_lie_in_memory_in_any_way() -> None:
    model = trained_model("gru", batchnorm=True)
    turned = {name: np.asfortranarray(w) for name, w in model.weights.items()}
    for weight in turned.values():
        weight.flags.writeable = False
    ids = some_ids(model, 1, 9)
    expected, got = (
        engine.read(ids, beginning(model, 1))[0]
        for engine in (Engines(model).numpy, Engines(replace(model, weights=turned)).numpy)
    )
    assert np.array_equal(expected, got)


def test_a_table_of_many_rows_is_that_of_few() -> None:
    from charrnn.text.vocabulary import Vocabulary

    many = Vocabulary([chr(0x4E00 + i) for i in range(2500)])
    model = trained_model(vocabulary=many, hidden_size=4)
    ids = np.array([0, 1023, 1024, 2048, 2499])
    engine = Engines(model).numpy
    logits, _ = engine.read(ids[None], beginning(model, 1))
    assert np.abs(logits[0] - textbook_logits(model, ids)).max() < 2e-5


# Wide enough that the products run in every way they can: in fours, with rows left over
WRITERS = [
    pytest.param(kind, seed, choice, id=f"{kind}-{seed}-{choice.temperature}")
    for seed, choice in enumerate(
        [params(), params(temperature=0.5), params(temperature=1.5, top_k=20, top_p=0.9)]
    )
    for kind in numba_terms.KERNELS
]


def written_by(
    engine: Any, model: TrainedModel, streams: int, length: int, choice: SamplingParams
) -> Any:
    """The ids (N, T) and the state after them, in two calls, from random first characters."""
    uniforms = np.random.default_rng(9).random((streams, length))
    last = some_ids(model, streams, seed=4)
    state = beginning(model, streams)
    cut = length // 3
    first, state = engine.write(last, state, uniforms[:, :cut], choice)
    second, state = engine.write(first[:, -1], state, uniforms[:, cut:], choice)
    return np.concatenate([first, second], axis=1), state


@pytest.mark.parametrize(("kind", "seed", "choice"), WRITERS)
def test_numpy_and_compiled_write_the_same_10_000_characters(
    kind: str, seed: int, choice: SamplingParams
) -> None:
    pytest.importorskip("numba", reason="the extra fast is not installed")
    model = trained_model(kind, hidden_size=65, num_layers=1 + seed, seed=seed)
    both = Engines(model)
    numpy, numpy_state = written_by(both.numpy, model, 1, 10_000, choice)
    compiled, state = written_by(both.named("numba"), model, 1, 10_000, choice)
    assert len(set(numpy[0].tolist())) > 10  # it isn't one character over and over
    assert np.array_equal(numpy, compiled)
    for layer, numpy_layer in zip(state, numpy_state, strict=True):
        for vectors, numpy_vectors in zip(layer, numpy_layer, strict=True):
            assert np.abs(vectors - numpy_vectors).max() < 1e-4


@pytest.mark.parametrize("kind", numpy_layers.KERNELS)
@pytest.mark.parametrize("skip", ["none", "sum"])
def test_all_engines_write_the_same_with_norms_and_skips(kind: str, skip: str) -> None:
    pytest.importorskip("numba", reason="the extra fast is not installed")
    model = trained_model(kind, num_layers=3, hidden_size=13, batchnorm=True, skip=skip)
    every = Engines(model)
    for streams in (1, 5):
        expected, _ = written_by(every.named("torch"), model, streams, 100, params(top_p=0.95))
        for name in ("numpy", "numba"):
            if has_kernel(name, kind):
                got, _ = written_by(every.named(name), model, streams, 100, params(top_p=0.95))
                assert np.array_equal(got, expected), name


@pytest.mark.parametrize("kind", numpy_layers.KERNELS)
@pytest.mark.parametrize("name", ["numpy", "numba", "torch"])
def test_a_stream_is_the_same_alone_and_beside_others(kind: str, name: str) -> None:
    if name == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    if not has_kernel(name, kind):
        pytest.skip(f"{name} has no kernel for {kind}")
    model = trained_model(kind, hidden_size=33)
    both = Engines(model)
    alone, _ = written_by(both.numpy, model, 11, 200, params(top_p=0.95))
    for streams in (1, 2, 3, 4, 7, 11):
        uniforms = np.random.default_rng(9).random((11, 200))[:streams]
        last = some_ids(model, 11, seed=4)[:streams]
        together, state = both.named(name).write(
            last, beginning(model, streams), uniforms, params(top_p=0.95)
        )
        assert np.array_equal(together, alone[:streams])
        assert all(v.shape == (streams, 33) for layer in state for v in layer)


@pytest.mark.parametrize("name", ["numpy", "numba", "torch"])
def test_what_is_not_needed_may_be_left_out_and_the_rest_is_the_same(name: str) -> None:
    if name == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    model = trained_model(hidden_size=33)
    engine = Engines(model).named(name)
    last, uniforms = some_ids(model, 11, seed=4), np.random.default_rng(9).random((11, 60))
    needed = np.array([60, 60, 59, 12, 0, 0, 0, 0, 7, 60, 1])
    asked = (last, beginning(model, 11), uniforms, params(top_p=0.95))
    whole, whole_state = engine.write(*asked)
    written, state = engine.write(*asked, needed)
    assert written.shape == whole.shape
    for n, length in enumerate(needed):
        assert np.array_equal(written[n, :length], whole[n, :length])
    to_the_end = np.flatnonzero(needed == 60).tolist()
    for layer, of_whole in zip(state, whole_state, strict=True):
        for vectors, expected in zip(layer, of_whole, strict=True):
            assert np.array_equal(vectors[to_the_end], expected[to_the_end])


@pytest.mark.parametrize("name", ["numpy", "numba", "torch", "ensemble"])
@pytest.mark.parametrize("streams", [1, 3, 7])
def test_each_stream_has_a_choice_of_its_own(name: str, streams: int) -> None:
    if name == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    model: Any = trained_model(hidden_size=33, conviction=2)
    if name == "ensemble":
        model, name = TrainedEnsemble((model, trained_model("gru", seed=1))), "numpy"
    engine = Engines(model).named(name)
    choices = [
        params(),
        params(0.0),
        params(0.5, top_k=3),
        params(1.5, min_p=0.1, ban="abi"),
        params(2.0, top_p=0.7),
        params(3.0, ban="\n"),
        params(top_k=1, ban="e"),
    ][-streams:]
    uniforms = np.random.default_rng(9).random((streams, 150))
    last, state = some_ids(model, streams, seed=4), beginning(model, streams)
    together, after = engine.write(last, state, uniforms, choices)
    for n, choice in enumerate(choices):
        alone, alone_after = engine.write(last[[n]], beginning(model, 1), uniforms[[n]], choice)
        assert np.array_equal(alone[0], together[n]), choice
        assert not set(choice.ban or "") & set(trained_model().vocabulary.decode(alone[0].tolist()))
        for layer, expected in zip(rows_of(after, [n]), alone_after, strict=True):
            assert all(np.abs(a - b).max() < 1e-5 for a, b in zip(layer, expected, strict=True))


@pytest.mark.parametrize("name", ["numpy", "numba", "torch"])
@pytest.mark.parametrize("streams", [1, 4, 5])
def test_weights_too_large_to_compute_with_are_told_of(name: str, streams: int) -> None:
    if name == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    model = trained_model("rnn", num_layers=1)
    weights = {**model.weights, "decoder.weight": np.full((65, 24), 3e38, np.float32)}
    weights["recurrent.0.bias_ih_l0"] = np.full(24, 20, np.float32)  # all hidden numbers are 1
    model = replace(model, weights=weights)
    with pytest.raises(RunError, match="not numbers"):
        written_by(Engines(model).named(name), model, streams, 6, params())


def test_a_cache_that_cannot_be_written_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="the extra fast is not installed")
    from numba.core.caching import FunctionCache, IndexDataCacheFile

    from charrnn.generation import numba_engine, numba_loop

    def double(x):  # type: ignore[no-untyped-def]
        return 2 * x

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FunctionCache._impl_class, "_locator_classes", [])
        assert numba_loop._cached(False)(double)(21) == 42  # no folder at all
    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    compiled = numba_loop._cached(False)(double)
    with pytest.raises(OSError, match="No space"):
        compiled(21)
    assert numba_engine.call(numba_loop._cached(False)(double), 21) == 42


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "charrnn.generation.numba_loop", raising=False)
    both = Engines(trained_model())
    with pytest.raises(InputError, match=r"engine=numba: .*pip install .*\[fast\]"):
        both.named("numba")
    assert isinstance(both.fastest(1, SamplingParams(10**6)), NumpyEngine)


@pytest.mark.parametrize("kind", sorted(numpy_layers.KERNELS.keys() - numba_terms.KERNELS.keys()))
def test_a_cell_without_a_compiled_kernel_is_left_to_another_engine(kind: str) -> None:
    both = Engines(trained_model(kind))
    with pytest.raises(InputError, match=f"engine=numba: .* {kind}; use numpy or torch"):
        both.named("numba")
    assert both.fastest(1, SamplingParams(10**6)) is both.numpy


def test_without_any_kernel_torch_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained_model("lstm", batchnorm=True)
    text = Model(model).generate(100, "Hm", seed=1, engine="numpy")
    logits = Model(model).logits("Hm")
    monkeypatch.delitem(numpy_layers.KERNELS, "lstm")
    monkeypatch.delitem(numba_terms.KERNELS, "lstm")
    without = Model(model)
    assert without.generate(100, "Hm", seed=1) == text
    assert len(without.generate(60_000, seed=1, until=text[20:40])) > 0
    assert np.abs(without.logits("Hm") - logits).max() < 2e-5
    assert without.logits("").shape == (0, 65)
    for name in ("numpy", "numba"):
        with pytest.raises(InputError, match=f"engine={name}: .* lstm; use torch"):
            without.generate(engine=name)


@pytest.mark.parametrize("kind", numpy_layers.KERNELS)
def test_weights_too_large_warn_of_nothing(kind: str) -> None:
    model = trained_model(kind, batchnorm=True)
    large = {n: np.full(w.shape, 3e38, np.float32) for n, w in model.weights.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RunError, match="not numbers"):
            Model(replace(model, weights=large)).generate(20)
        assert Model(replace(model, weights=large)).logits("Hm").shape == (2, 65)


def test_the_fastest_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"numba": True, "gpu": False}
    monkeypatch.setattr(engines, "find_spec", lambda name: present["numba"] or None)
    monkeypatch.setattr(engines, "_has_gpu", lambda: present["gpu"])
    small, medium, large = 200_000, 3_000_000, 20_000_000  # 2 x 128, 2 x 512, 3 x 1024
    assert fastest(small, 1, 2000) == "numpy"  # a short one does not wait for numba
    assert fastest(small, 1, 100_000) == "numba"
    assert fastest(small, 64, 2000) == "numba"
    assert fastest(medium, 1, 100_000) == "numpy"
    assert fastest(medium, 8, 100_000) == "numba"
    assert fastest(large, 64, 100_000) == "numpy"
    present["gpu"] = True
    assert fastest(small, 1, 100_000) == "numba"
    assert fastest(large, 64, 100_000) == "torch"
    assert fastest(large, 64, 10) == "numpy"
    present["numba"] = False
    assert fastest(small, 1, 100_000) == "numpy"


@pytest.mark.gpu
def test_a_gpu_writes_the_same() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    from charrnn.generation.torch_engine import TorchEngine

    for kind in numpy_layers.KERNELS:
        model = trained_model(kind, batchnorm=True)
        engine = TorchEngine(model)
        assert engine.device == "cuda"
        expected, _ = written_by(Engines(model).numpy, model, 64, 100, params(top_p=0.9))
        got, _ = written_by(engine, model, 64, 100, params(top_p=0.9))
        # a draw within float32's rounding of a boundary may fall to its other side
        assert (got == expected).all(axis=1).mean() > 0.9


def test_folding_leaves_the_model_as_it_was() -> None:
    model = trained_model("gru", batchnorm=True)
    before = {name: weight.copy() for name, weight in model.weights.items()}
    engine = NumpyEngine(fold(model))
    engine.write(np.array([3]), beginning(model, 1), np.full((1, 20), 0.3), params())
    assert all(np.array_equal(model.weights[name], before[name]) for name in before)
