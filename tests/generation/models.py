"""Models with random weights that write with conviction, as trained ones do."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.counts.mixing import Counts, Weights
from charrnn.counts.pairs import count_pairs, number_symbols
from charrnn.counts.passages import build_table, count_levels
from charrnn.counts.run_lengths import count_runs
from charrnn.counts.table import CountTable
from charrnn.counts.words import count_words, number_letters
from charrnn.generation import engines
from charrnn.generation.engines import Engine
from charrnn.model import Model
from charrnn.models.trained import Architecture, TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.text.prompt import PRIMER_FACT
from charrnn.text.vocabulary import Vocabulary

TEXT = (
    "The cat sat on the mat; the rat sat on the cat.\n"
    "      What a mat! What a caaaaaaat! That rat, that fat cat's hat.\n"
) * 12
WEIGHTS = Weights((0.3, 0.7, 0.4, 0.6), (0.8, 0.4, 0.7, 0.5), (0.4, 0.2), (0.3, 0.5))
CHARACTERS = "\n" + string.ascii_letters + " .,;:!?'-&$3"  # 65, as tiny-shakespeare's


def make_model(
    kind: str = "lstm",
    *,
    num_layers: int = 2,
    hidden_size: int = 24,
    embedding_size: int = 10,
    batchnorm: bool = False,
    skip: str = "none",
    vocabulary: Vocabulary | None = None,
    seed: int = 0,
    conviction: float = 6.0,
) -> TrainedModel:
    """Make a model whose weights are all random, PyTorch's second bias too.

    Args:
        conviction: the larger, the more its probabilities differ.
    """
    vocabulary = vocabulary or Vocabulary(list(CHARACTERS))
    sizes = embedding_size, hidden_size, num_layers
    architecture = Architecture(kind, *sizes, 0.0, batchnorm, skip, vocabulary_size=len(vocabulary))
    numbers = np.random.default_rng(seed)
    weights: dict[str, Any] = {}
    for name, shape in architecture.shapes().items():
        if name.startswith("norms") and name.endswith(("weight", "running_var")):
            weight = numbers.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            weight = numbers.normal(0, 0.3, shape)
        else:
            weight = numbers.normal(0, 1 if "embedding" in name else shape[1] ** -0.5, shape)
            weight *= conviction if name == "decoder.weight" else 1
        weights[name] = weight.astype(np.float32)
    return TrainedModel(architecture, vocabulary, weights)


def fill_weights(model: TrainedModel, value: float) -> TrainedModel:
    """Copy a model with weights that are all the same."""
    weights = {name: np.full_like(weight, value) for name, weight in model.weights.items()}
    return replace(model, weights=weights)


def blank_model(blank: str = " ") -> TrainedModel:
    """Make a model to which a blank is likelier by e than others. Its primer is blank."""
    model = fill_weights(make_model(vocabulary=Vocabulary(list("abc \t"))), 0)
    model.weights["decoder.bias"][model.vocabulary.encode(blank)] = 1
    return replace(model, facts={PRIMER_FACT: "a" + 5 * blank})


def params(temperature: float = 1.0, **how: Any) -> SamplingParams:
    """Make SamplingParams at the temperature of the model."""
    return SamplingParams(temperature=temperature, **how)


def some_ids(model: TrainedModel, *shape: int, seed: int = 1) -> np.ndarray:
    """Draw random characters, with a run of blanks among them."""
    ids = np.random.default_rng(seed).integers(0, len(model.vocabulary), shape)
    ids[..., 10:20] = model.vocabulary.encode(" ")[0]
    return ids


def make_counted_model(
    kind: str = "lstm", weights: Weights = WEIGHTS, text: str = TEXT, **how: Any
) -> TrainedModel:
    """Add the counts of a text to a model."""
    model = make_model(kind, conviction=2.0, **how)
    counts = counts_of(model.vocabulary.encode(text), model.vocabulary, 5, weights)
    return replace(model, counts=counts)


def with_background(model: TrainedModel, background: str) -> TrainedModel:
    """Add the words of TEXT and of its background to a model with counts."""
    assert model.counts is not None
    ids, other = model.vocabulary.encode(TEXT), model.vocabulary.encode(background)
    counts = counts_of(ids, model.vocabulary, 5, model.counts.weights, other)
    return replace(model, counts=counts)


def count_passages(ids: np.ndarray, vocabulary_size: int, context: int) -> CountTable:
    """Count all passages of a text, with contexts of up to `context`."""
    return build_table(list(count_levels(ids, vocabulary_size, context)), vocabulary_size)


def counts_of(
    ids: np.ndarray, vocabulary: Vocabulary, context: int, weights: Weights, *background: np.ndarray
) -> Counts:
    """Count a text, and its words and pairs of up to 6 letters if they have a weight."""
    table = count_passages(ids, len(vocabulary), context)
    runs = count_runs(ids, len(vocabulary), table.context)
    letters, words, pairs = number_letters(vocabulary), None, None
    if any(weights.words):
        words = count_words([ids, *background], letters, 6)
    if any(weights.pairs) and words is not None:
        pairs = count_pairs([ids, *background], words, number_symbols(vocabulary, letters))
    return Counts(table, runs, words, pairs, weights)


def make_torch_engine(trained: TrainedModel) -> Engine:
    """Make an engine in torch on the CPU, as for a cell that NumPy lacks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "CELLS", {})
        return engines.make_engine(trained)


def make_torch_model(trained: TrainedModel) -> Model:
    """Make a model that writes in torch on the CPU, as one with a cell that NumPy lacks."""
    model = Model(trained)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "CELLS", {})
        model.generate(0)  # makes the engine
    return model
