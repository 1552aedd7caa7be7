"""`precision=8`: whole numbers multiplied exactly, the same bits everywhere, near the textbook."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.counts.mixing import COUNTS_ONLY
from charrnn.errors import InputError
from charrnn.generation.draw import log_softmax
from charrnn.generation.int8_rows import quantize_model
from charrnn.generation.sampler import Sampler
from charrnn.model import Model
from charrnn.models.trained import TrainedModel, select_streams, zero_state
from charrnn.options.cells import CELLS
from tests.generation.definition import log_probabilities
from tests.generation.models import (
    CHOICES,
    NETWORKS,
    TEXT,
    batch_of,
    make_counted_model,
    make_model,
    params,
    some_ids,
)
from tests.small_runs import Capture

pytest.importorskip("numba", reason="the extra fast is not installed")

from charrnn.extras.fast import int8_network
from charrnn.extras.fast.fast_engines import Int8Engine

VOCABULARY = make_model().vocabulary


def of_small_integers(kind: str, **how: Any) -> TrainedModel:
    """Make a model whose weights are the same on every machine, by no library."""
    model, numbers = make_model(kind, **how), np.random.default_rng(0)
    weights = {}
    for name, weight in model.weights.items():
        drawn = numbers.integers(-128, 128, weight.shape) / (800 if weight.ndim == 2 else 256)
        drawn *= 8 if name in ("decoder.weight", "embedding.weight") else 1
        drawn = np.abs(drawn) if name.endswith("running_var") else drawn
        weights[name] = drawn.astype(np.float32)
    return replace(model, weights=weights)


def write(engine: Int8Engine, ids: np.ndarray, state: Any, uniforms: np.ndarray) -> Any:
    batch = batch_of(CHOICES[: len(ids)], ids[:, None], VOCABULARY)
    return engine.write(ids, state, uniforms, batch)


def assert_same_bits(one: Any, other: Any) -> None:
    for layer, beside in zip(one, other, strict=True):
        for vectors, others in zip(layer, beside, strict=True):
            np.testing.assert_array_equal(vectors, others)


MODELS = {
    **{
        f"{kind}, {name}": make_model(kind, **how, conviction=2)
        for kind in CELLS
        for name, how in NETWORKS.items()
    },
    "counts": make_counted_model("lstm"),
    "counts, sum": make_counted_model("gru", skip="sum"),
    "counts alone": make_counted_model("lstm", COUNTS_ONLY),
}


@pytest.mark.parametrize("name", MODELS)
def test_int8_predicts_nearly_as_the_definition(name: str) -> None:
    model = MODELS[name]
    ids, text = some_ids(model, 5, 40), model.vocabulary.encode(TEXT).tolist()
    logits, _ = Int8Engine(model).read(ids, zero_state(model, 5))
    expected = [log_probabilities(quantize_model(model), row, text) for row in ids]
    assert np.abs(log_softmax(logits) - expected).mean() < (1e-6 if "alone" in name else 0.02), name


# with VNNI where there is such a thing, or nowhere
@pytest.mark.parametrize("vnni", [None, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("lstm", "62f2cd5bbedd83f6"), ("gru", "bf94037c3ea53b3f"), ("rnn", "ff764abad22c4662")],
)
def test_int8_writes_the_same_text_on_every_machine(kind: str, expected: str, vnni: Any) -> None:
    """Compare with stored texts. In other batches and in pieces it writes the same."""
    bits = hashlib.sha256()
    for how in NETWORKS.values():
        model = of_small_integers(kind, **how)
        engine, numbers = Int8Engine(model, vnni=vnni), np.random.default_rng(9)
        last, uniforms = numbers.integers(0, 65, 7), numbers.random((7, 100))
        written, state = write(engine, last, zero_state(model, 7), uniforms)
        for N in (1, 4):
            first, after = write(engine, last[:N], zero_state(model, N), uniforms[:N, :30])
            rest, after = write(engine, first[:, -1], after, uniforms[:N, 30:])
            assert np.array_equal(np.concatenate([first, rest], 1), written[:N])
            assert_same_bits(after, select_streams(state, range(N)))
        for array in (written, *(vectors for layer in state for vectors in layer)):
            bits.update(array.tobytes())
    assert bits.hexdigest()[:16] == expected


def test_int8_reads_as_it_writes() -> None:
    """Check that the logits after each character are those of its draw."""
    for model in (make_counted_model("gru", skip="sum"), make_model(conviction=3)):
        engine, ids = Int8Engine(model), some_ids(model, 5)
        greedy = batch_of(params(temperature=0), ids[:, None], model.vocabulary)
        written, end = engine.write(ids, zero_state(model, 5), np.zeros((5, 30)), greedy)
        read = np.concatenate([ids[:, None], written[:, :-1]], 1)
        logits, state = engine.read(read, zero_state(model, 5))
        assert np.array_equal(logits.argmax(-1), written)
        assert_same_bits(state, end)
        assert_same_bits(engine.advance(read, zero_state(model, 5)), end)
        if model.counts:
            np.testing.assert_allclose(np.exp(logits).sum(-1), 1, atol=1e-5)


def test_the_command_writes_in_int8(model: Model, path: Path, capfd: Capture) -> None:
    text = model.generate(100, "Hm: ", seed=1, precision=8)
    words = [f"checkpoint={path}", "precision=8", "seed=1", "start_text=Hm: ", "length=100"]
    capfd.readouterr()
    assert main(["sample", *words]) == 0
    assert capfd.readouterr() == (f"Hm: {text}", "")


def test_int8_refuses_other_models_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    with pytest.raises(InputError, match=r"precision=16: must be one of 32, 8"):
        Model(model).generate(precision=16)
    for engine in ("numpy", "torch"):
        with pytest.raises(InputError, match=rf"precision=8: engine={engine}"):
            Model(model).generate(precision=8, engine=engine)
    monkeypatch.delitem(int8_network.KERNELS, "gru")
    with pytest.raises(InputError, match="precision=8: has no kernel for a model of kind gru"):
        Model(make_model("gru")).generate(10, precision=8)
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [name for name in sys.modules if name.startswith("charrnn.extras.fast.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"precision=8: needs numba .*pip install 'numba"):
        Sampler(make_model(), 8)
