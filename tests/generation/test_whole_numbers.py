"""`precision=8`: the definition, and that the compiled loop gives the same bits."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charrnn
from charrnn.counts import ALONE, Weights
from charrnn.errors import InputError, RunError
from charrnn.generation import whole_numbers
from charrnn.generation.engines import Engines, fastest
from charrnn.generation.rounding import fold_rounded, in_rows, rounded
from charrnn.generation.state import State, beginning
from charrnn.generation.token_sampler import log_softmax
from charrnn.generation.whole_numbers import WholeEngine
from charrnn.model import Model
from charrnn.models.ensemble import TrainedEnsemble
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from tests.generation.models import params, trained_model
from tests.generation.test_counted import counted
from tests.generation.test_engines import STACKS, named, some_ids, written_by

KINDS = [*whole_numbers.GATES]


def of_whole_numbers(seed: int = 0) -> TrainedModel:
    """A model whose weights no library has a part in: the same on every machine."""
    model = trained_model(hidden_size=72)
    numbers = np.random.default_rng(seed)
    weights = {
        name: (numbers.integers(-128, 128, weight.shape) / (800 if weight.ndim == 2 else 256))
        for name, weight in model.weights.items()
    }
    weights["decoder.weight"] *= 8
    weights["embedding.weight"] *= 8
    return replace(model, weights={n: w.astype(np.float32) for n, w in weights.items()})


def same_bits(one: State, other: State) -> bool:
    return all(
        np.array_equal(a, b)
        for layer, beside in zip(one, other, strict=True)
        for a, b in zip(layer, beside, strict=True)
    )


# -- the definition ------------------------------------------------------------------------


def test_rows_are_rounded_to_whole_numbers() -> None:
    matrix = np.random.default_rng(1).normal(0, 1, (30, 50)).astype(np.float32)
    matrix[3], matrix[4] = 0, np.float32(1e-30)
    rows = in_rows(matrix)
    assert np.abs(rows.whole).max(1)[[0, 3, 4]].tolist() == [127, 0, 127]
    assert (np.abs(rows.values - matrix) <= 0.5001 * rows.scales[:, None]).all()
    exact = rows.whole.astype(np.float64) * rows.scales.astype(np.float64)[:, None]
    assert np.array_equal(rows.values, exact)
    again = in_rows(rows.values)
    assert np.array_equal(again.whole, rows.whole)
    assert np.array_equal(again.scales, rows.scales)


@pytest.mark.parametrize("columns", [7, 1040, 1041, 3000])
@pytest.mark.parametrize("bounded", [True, False])
def test_products_are_those_of_whole_numbers(columns: int, bounded: bool) -> None:
    numbers = np.random.default_rng(2)
    weight = numbers.normal(0, 1, (9, columns)).astype(np.float32)
    x = numbers.uniform(-1, 1, (3, columns)).astype(np.float32)
    x[0] = 1  # the largest sums that there can be
    weight[0] = 1
    x[2] = 0 if not bounded else x[2]
    rows, got = in_rows(weight), whole_numbers.Product(weight, bounded)(x)
    for n, vector in enumerate(x):
        largest = np.float32(1) if bounded else np.abs(vector).max()
        step = largest / np.float32(127)
        whole = np.rint(vector * (np.float32(127) / largest)) if largest else np.zeros(columns)
        sums = [sum(int(a) * int(b) for a, b in zip(row, whole, strict=True)) for row in rows.whole]
        expected = np.array(sums).astype(np.float32) * (rows.scales * step)
        assert np.array_equal(got[n], expected)


def test_functions_are_near_the_real_ones() -> None:
    x = np.linspace(-20, 20, 100_001).astype(np.float32)
    x64 = x.astype(np.float64)
    assert np.abs(whole_numbers.tanh(x) - np.tanh(x64)).max() < 2e-5
    assert np.abs(whole_numbers.tanh(x)).max() <= 1
    assert np.abs(whole_numbers.sigmoid(x) - 1 / (1 + np.exp(-x64))).max() < 1e-5
    positive = np.exp(x64).astype(np.float32)
    assert np.abs(whole_numbers.log(positive) - np.log(positive.astype(np.float64))).max() < 2e-6
    below = np.concatenate([-np.abs(x64), [-np.inf, -1e300, 0.0]])
    got = np.empty_like(below)
    with np.errstate(over="ignore"):
        whole_numbers.exp(below, got)
    assert np.abs(got - np.exp(below)).max() < 1e-6
    assert np.array_equal(got * 2**30, np.rint(got * 2**30))
    assert got[-3:].tolist() == [0, 0, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layers", "options"), STACKS, ids=["-".join((str(n), *named(o))) for n, o in STACKS]
)
def test_reads_nearly_as_in_float32(kind: str, layers: int, options: dict[str, Any]) -> None:
    model = trained_model(kind, num_layers=layers, hidden_size=64, conviction=2.0, **options)
    ids = some_ids(model, 2, 60)
    exact, _ = Engines(model).numpy.read(ids, beginning(model, 2))
    whole, _ = Engines(model, 8).numpy.read(ids, beginning(model, 2))
    p, q = log_softmax(exact), log_softmax(whole)
    assert 0 < (np.exp(p) * (p - q)).sum(-1).mean() < 2e-3


def test_a_text_is_the_same_on_every_machine() -> None:
    """These were written once; nothing that a machine or a library decides has a part in them."""
    text = Model(of_whole_numbers()).generate(3000, "To be", seed=1, temperature=1.0, precision=8)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "b4f7304f2939fd45"


# -- the compiled loop ---------------------------------------------------------------------


@pytest.fixture(
    # which a processor without it has in the fast tests
    params=[None, pytest.param(False, marks=pytest.mark.slow)],
    ids=["as-it-is", "without-vnni"],
)
def vnni(request: pytest.FixtureRequest) -> bool | None:
    """Whether VNNI multiplies: where there is such a thing, or nowhere."""
    pytest.importorskip("numba", reason="the extra fast is not installed")
    found: bool | None = request.param
    return found


def both(model: TrainedModel, vnni: bool | None) -> tuple[Any, Any]:
    """The definition, and the compiled engine."""
    from charrnn.generation.numba_engine import NumbaEngine

    plain = Engines(model, 8).numpy
    return plain, NumbaEngine(fold_rounded(model), plain, model.counts, whole=True, vnni=vnni)


@pytest.mark.parametrize(
    ("kind", "skip"),
    [  # each is compiled anew
        pytest.param(kind, skip, marks=[pytest.mark.slow] * (kind != "lstm" and skip != "none"))
        for kind in KINDS
        for skip in ("none", "sum")
    ],
)
def test_compiled_gives_the_same_bits(kind: str, skip: str, vnni: bool | None) -> None:
    for hidden, norm in ((65, {}), (13, {"batchnorm": True}), (32, {"batchnorm": True})):
        model = trained_model(kind, num_layers=3, hidden_size=hidden, skip=skip, **norm)  # type: ignore[arg-type]
        plain, compiled = both(model, vnni)
        for streams in (1, 5):
            for how in (params(), params(0.5, top_p=0.9, min_p=0.01), params(1.5, top_k=9)):
                expected, after = written_by(plain, model, streams, 200, how)
                got, state = written_by(compiled, model, streams, 200, how)
                assert np.array_equal(got, expected)
                assert same_bits(state, after)


@pytest.mark.parametrize("streams", [1, 2, 4, 7])
def test_streams_do_not_touch_one_another(streams: int, vnni: bool | None) -> None:
    model = trained_model(hidden_size=33)
    plain, compiled = both(model, vnni)
    alone, _ = written_by(plain, model, 7, 100, params())
    for engine in (plain, compiled):
        known = some_ids(model, 7, 40)
        assert same_bits(
            engine.advance(known, beginning(model, 7)), plain.read(known, beginning(model, 7))[1]
        )
        together, _ = written_by(engine, model, 7, 100, params())
        assert np.array_equal(together[:streams], alone[:streams])
        uniforms = np.random.default_rng(9).random((7, 100))[:streams]
        first = some_ids(model, 7, seed=4)[:streams]
        few, _ = engine.write(first, beginning(model, streams), uniforms, params())
        assert np.array_equal(few, alone[:streams])


@pytest.mark.parametrize("weights", [Weights((0.3, 0.7), (0.8, 0.4)), ALONE])
def test_counts_give_the_same_bits(weights: Weights, vnni: bool | None) -> None:
    model = counted("lstm", weights)
    plain, compiled = both(model, vnni)
    alone, after = written_by(plain, model, 1, 3000, params())
    got, state = written_by(compiled, model, 1, 3000, params())
    assert np.array_equal(got, alone)
    assert same_bits(state, after)
    for engine in (plain, compiled):
        known = some_ids(model, 5, 40)
        assert same_bits(
            engine.advance(known, beginning(model, 5)), plain.read(known, beginning(model, 5))[1]
        )
        together, _ = written_by(engine, model, 5, 300, params())
        expected, _ = written_by(plain, model, 5, 300, params())
        assert np.array_equal(together, expected)


@pytest.mark.slow
def test_with_avx2_alone_the_text_is_the_same(tmp_path: Path) -> None:
    """Compiled for another processor: narrower vectors, and other instructions."""
    pytest.importorskip("numba", reason="the extra fast is not installed")
    model = of_whole_numbers()
    Model(model).save(tmp_path / "model.safetensors")
    program = (
        "import charrnn, sys; from charrnn.processor import compiles_vnni\n"
        "assert not compiles_vnni()\n"
        "print(charrnn.load(sys.argv[1]).generate(3000, seed=1, precision=8, engine='numba'))"
    )
    features = "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt"
    env = {**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features}
    ran = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model.safetensors"],
        env={**env, "NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout[:-1] == Model(model).generate(3000, seed=1, precision=8, engine="numpy")


# -- what it can be asked -------------------------------------------------------------------


def test_what_the_loop_has_no_kernel_for_is_written_by_the_definition() -> None:
    model = Model(trained_model(conviction=3))
    how = {"seed": 1, "precision": 8, "temperature": 1.0, "logit_bias": {"e": -4.0}, "top_p": 0.9}
    text = model.generate(200, engine="numpy", **how)
    assert model.generate(200, **how) == text
    assert model.generate(200, engine="numba", **how) == text
    assert model.generate(200, num_samples=6, **how)[0] == text


def test_an_exported_model_file_gives_the_same_text(tmp_path: Path) -> None:
    model = Model(trained_model())
    Model(rounded(model.trained)).save(tmp_path / "rounded.safetensors")
    how = {"seed": 1, "precision": 8, "temperature": 1.0}
    assert charrnn.load(tmp_path / "rounded.safetensors").generate(300, **how) == model.generate(
        300, **how
    )


def test_what_cannot_be_had_is_refused_in_a_line() -> None:
    model = trained_model()
    with pytest.raises(InputError, match="precision=16: must be one of 32, 8"):
        Model(model).generate(precision=16)
    with pytest.raises(InputError, match=r"precision=8: engine=torch .*use numpy or numba"):
        Model(model).generate(precision=8, engine="torch")
    with pytest.raises(InputError, match="precision=8: writes with one model"):
        Engines(TrainedEnsemble((model, trained_model("gru"))), 8)
    weights = {**model.weights, "decoder.weight": np.full((65, 24), 3e38, np.float32)}
    with pytest.raises(RunError, match="not numbers"):
        Model(replace(model, weights=weights)).generate(precision=8)


def test_the_compiled_loop_pays_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charrnn.generation.engines.find_spec", lambda name: True)
    assert fastest(200_000, 1, 2000, 8) == "numpy"
    assert fastest(200_000, 1, 20_000, 8) == "numba"
    assert fastest(20_000_000, 64, 20_000, 8) == "numba"
    monkeypatch.setattr("charrnn.generation.engines.find_spec", lambda name: None)
    assert fastest(200_000, 1, 20_000, 8) == "numpy"
    assert isinstance(Engines(trained_model(), 8).fastest(1, SamplingParams(10**6)), WholeEngine)
