"""Weights to start anew from: `init_from=` another model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from charrnn.errors import InputError
from charrnn.models import find_model, read_model
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary

BY_CHARACTER = ("embedding.weight", "decoder.weight", "decoder.bias")
# what a fresh run may choose for itself
FREE = ("dropout", "_target_")


def read_initial(init_from: str) -> TrainedModel:
    """The model that a new run starts from."""
    return read_model(find_model(init_from))


def adopt_architecture(
    init_from: str, trained: TrainedModel, options: dict[str, Any], given: tuple[str, ...]
) -> dict[str, Any]:
    """The model options of the checkpoint, which decide; `options` keep what is free.

    Args:
        given: the options that were asked for, dotted.

    Raises:
        InputError: one of those is not what the checkpoint has.
    """
    asked = {key.removeprefix("model.") for key in given if key.startswith("model.")}
    asked |= {"kind"} if "model" in given else set()
    values = {
        name: options[name] if name in FREE else getattr(trained.architecture, name)
        for name in options
    }
    for name in asked & values.keys():
        if options[name] != values[name]:
            raise InputError(
                f"model.{name}={options[name]}: {init_from} has {values[name]}; "
                f"leave the option out to start from its weights"
            )
    return values


def initial_weights(
    init_from: str, trained: TrainedModel, vocabulary: Vocabulary
) -> dict[str, Tensor]:
    """The model's weights, its characters in the order of the data's vocabulary.

    Raises:
        InputError: the data holds characters that the model does not know.
    """
    theirs = {c: i for i, c in enumerate(trained.vocabulary.characters)}
    unknown = [c for c in vocabulary.characters if c not in theirs]
    if unknown:
        shown = " ".join(repr(c) for c in unknown[:10]) + (" ..." if len(unknown) > 10 else "")
        raise InputError(
            f"init_from={init_from}: {len(unknown)} of the text's {len(vocabulary)} characters "
            f"are not in its vocabulary: {shown}; remove them from the text, or train from scratch"
        )
    rows = torch.tensor([theirs[c] for c in vocabulary.characters])
    weights = {name: torch.tensor(w) for name, w in trained.weights.items()}
    return {name: w[rows] if name in BY_CHARACTER else w for name, w in weights.items()}
