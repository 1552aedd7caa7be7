"""Text that is written by a network and counts together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import charrnn
from charrnn.counts import ALONE, Counts, Weights, count
from charrnn.errors import InputError
from charrnn.generation.engines import Engines
from charrnn.generation.state import beginning
from charrnn.model import Model
from charrnn.models.ensemble import TrainedEnsemble
from charrnn.models.trained import TrainedModel
from tests.generation.models import params, trained_model

TEXT = (
    "The cat sat on the mat; the rat sat on the cat.\n"
    "What a mat! What a cat! That rat, that fat cat's hat.\n"
) * 12
WEIGHTS = Weights((0.3, 0.7), (0.8, 0.4))


def counted(
    kind: str = "lstm", weights: Weights = WEIGHTS, text: str = TEXT, **how: object
) -> TrainedModel:
    model = trained_model(kind, conviction=2.0, **how)  # type: ignore[arg-type]
    table = count(model.vocabulary.encode(text), len(model.vocabulary), 5)
    return replace(model, counts=Counts(table, weights))


def by_definition(model: TrainedModel, text: str) -> np.ndarray:
    """p (T, V) of the mix, in float64."""
    assert model.counts is not None
    network = Model(model).logits(text, counts="none").astype(np.float64)
    table = model.counts.table
    p, lengths, _ = table.read(model.vocabulary.encode(text)[None], table.beginning(1))
    depths = lengths[0][:, None] / table.context
    a, b = (first + (last - first) * depths for first, last in model.counts.weights)
    mix = np.exp(network - network.max(-1, keepdims=True)) ** a * p[0].astype(np.float64) ** b
    return mix / mix.sum(-1, keepdims=True)


def test_logits_are_those_of_the_mix() -> None:
    model = counted()
    expected = by_definition(model, TEXT[:200])
    np.testing.assert_allclose(np.exp(Model(model).logits(TEXT[:200])), expected, atol=1e-5)
    only = np.exp(Model(model).logits(TEXT[:200], counts="only"))
    assert model.counts is not None
    table = model.counts.table
    p = table.read(model.vocabulary.encode(TEXT[:200])[None], table.beginning(1)).p
    np.testing.assert_allclose(only, p[0], atol=1e-5)


def test_writes_by_the_mix() -> None:
    model = counted()
    uniforms = np.random.default_rng(4).random((1, 50))
    text = "\n"
    for uniform in uniforms[0]:
        sums = np.cumsum(by_definition(model, text)[-1])
        text += model.vocabulary.characters[int(np.searchsorted(sums, uniform * sums[-1]))]
    ids = model.vocabulary.encode("\n")
    written, _ = Engines(model).numpy.write(ids, beginning(model, 1), uniforms, params())
    assert model.vocabulary.decode(written[0]) == text[1:]


@pytest.mark.parametrize("counts", ["auto", "only"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_same_text_in_every_engine_alone_and_beside_others(kind: str, counts: str) -> None:
    model = Model(counted(kind))
    how = {"seed": 7, "temperature": 0.9, "counts": counts, "ban": "!", "min_p": 0.01}
    alone = model.generate(400, "The ", engine="numpy", **how)
    assert len(alone) == 400
    assert "!" not in alone
    assert "".join(model.stream(400, "The ", engine="numpy", **how)) == alone
    for engine in ("numpy", "numba", "torch"):
        for streams in (1, 3, 9):
            texts = model.generate(400, "The ", num_samples=streams, engine=engine, **how)
            assert texts[0] == alone
            assert len({*texts}) == streams
    assert alone != model.generate(400, "The ", **{**how, "counts": "none"})


@pytest.mark.parametrize("engine", ["numpy", "numba", "torch"])
@pytest.mark.parametrize("streams", [1, 2, 6])
def test_in_pieces_as_in_one(engine: str, streams: int) -> None:
    model = counted()
    writer, ids = Engines(model).named(engine), model.vocabulary.encode("T" * streams)
    uniforms = np.random.default_rng(1).random((streams, 60))
    whole, end = writer.write(ids, beginning(model, streams), uniforms, params())
    first, state = writer.write(ids, beginning(model, streams), uniforms[:, :23], params())
    second, after = writer.write(first[:, -1], state, uniforms[:, 23:], params())
    np.testing.assert_array_equal(np.concatenate([first, second], 1), whole)
    np.testing.assert_array_equal(after[-1][0], end[-1][0])
    # and each engine goes on where another stopped
    other, _ = Engines(model).numpy.write(first[:, -1], state, uniforms[:, 23:], params())
    np.testing.assert_array_equal(other, second)


def test_what_stands_before_counts_and_the_primer_too() -> None:
    model = Model(counted(weights=ALONE))
    ids = model.vocabulary.encode("What a ")[None]
    reader, state = Engines(model.trained).reader, beginning(model.trained, 1)
    _, read = reader.read(ids, state)
    advanced = reader.advance(ids, state)
    np.testing.assert_array_equal(read[-1][0], advanced[-1][0])
    assert model.generate(3, "What a m", temperature=0) == "at!"


def test_models_with_the_same_counts_are_averaged_and_mixed_once(tmp_path: Path) -> None:
    both = [counted("lstm", seed=1), counted("gru", Weights((0.8, 0.4), (0.3, 0.6)), seed=2)]
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for model, path in zip(both, paths, strict=True):
        Model(model).save(path)
    ensemble = charrnn.load(paths)
    text, weights = TEXT[:60], ((0.55, 0.55), (0.55, 0.5))
    mean = np.exp(ensemble.logits(text, counts="none").astype(np.float64))
    table = both[0].counts.table  # type: ignore[union-attr]
    p, lengths, _ = table.read(both[0].vocabulary.encode(text)[None], table.beginning(1))
    depths = lengths[0][:, None] / table.context
    a, b = (first + (last - first) * depths for first, last in weights)
    mix = mean**a * p[0].astype(np.float64) ** b
    np.testing.assert_allclose(
        np.exp(ensemble.logits(text)), mix / mix.sum(-1, keepdims=True), atol=1e-5
    )
    written = ensemble.generate(200, seed=1, num_samples=5)
    assert ensemble.generate(200, seed=1) == written[0]
    assert ensemble.generate(200, seed=1, engine="torch", num_samples=5) == written


def test_models_with_other_counts_write_with_their_networks() -> None:
    both = (counted("lstm"), counted("gru", text=TEXT[:300]))
    ensemble = charrnn.model.Ensemble(TrainedEnsemble(both))
    without = charrnn.model.Ensemble(TrainedEnsemble(tuple(replace(m, counts=None) for m in both)))
    assert ensemble.generate(100, seed=1) == without.generate(100, seed=1)


def test_counts_that_are_not_there() -> None:
    model = Model(trained_model())
    assert model.generate(50, seed=1, counts="none") == model.generate(50, seed=1)
    with pytest.raises(InputError, match="counts=only: the model has none"):
        model.generate(50, counts="only")
    with pytest.raises(InputError, match="counts"):
        model.generate(50, counts="some")
