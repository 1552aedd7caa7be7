"""Weights to start anew from: `init_from=` another model."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from charrnn.errors import InputError
from charrnn.model import load
from charrnn.options import ModelOptions
from charrnn.text.vocabulary import Vocabulary

BY_CHARACTER = ("embedding.weight", "decoder.weight", "decoder.bias")
# what a fresh run may choose for itself
FREE = ("dropout",)


def adopt_architecture(init_from: str, options: ModelOptions, given: set[str]) -> ModelOptions:
    """The model options of the checkpoint, which decide; `options` keep what is free.

    Args:
        given: names of the model options that the command line set.

    Raises:
        InputError: one of those is not what the checkpoint has.
    """
    architecture = load(init_from).trained.architecture
    values = {f.name: getattr(architecture, f.name) for f in fields(ModelOptions)}
    for name in FREE:
        values[name] = getattr(options, name)
    for name in given - set(FREE):
        if getattr(options, name) != values[name]:
            raise InputError(
                f"model.{name}={getattr(options, name)}: {init_from} has {values[name]}; "
                f"leave the option out to start from its weights"
            )
    return ModelOptions(**values)


def initial_weights(
    init_from: str, options: ModelOptions, vocabulary: Vocabulary
) -> dict[str, Tensor]:
    """The checkpoint's weights, its characters in the order of the data's vocabulary.

    Raises:
        InputError: the data holds characters that the checkpoint does not know.
    """
    trained = load(init_from).trained
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
