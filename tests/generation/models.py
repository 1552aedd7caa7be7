"""Models with random weights that write with conviction, as trained ones do."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from charrnn.models.trained import Architecture, TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

CHARACTERS = "\n" + string.ascii_letters + " .,;:!?'-&$3"  # 65, as tiny-shakespeare's


def trained_model(
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
    """A model all of whose weights are random, PyTorch's second bias among them.

    Args:
        conviction: the larger, the more its probabilities differ.
    """
    vocabulary = vocabulary or Vocabulary(list(CHARACTERS))
    architecture = Architecture(
        kind=kind,
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        dropout=0.0,
        batchnorm=batchnorm,
        vocabulary_size=len(vocabulary),
        skip=skip,
    )
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


def params(temperature: float = 1.0, **how: Any) -> SamplingParams:
    """SamplingParams at the model's own temperature."""
    return SamplingParams(temperature=temperature, **how)
