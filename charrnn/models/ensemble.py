"""Several trained models as one, whose prediction is the weighted mean of their probabilities.

This module needs NumPy only, as a model does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from charrnn.counts.mixing import Counts, Weights
from charrnn.errors import InputError
from charrnn.models import read_model
from charrnn.models.trained import TrainedModel
from charrnn.options.ranges import COUNTS, POSITIVE, require
from charrnn.text.vocabulary import Vocabulary

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class TrainedEnsemble:
    """Two or more models with one vocabulary.

    Attributes:
        weights: of the members' probabilities, in proportion; None: all the same.
    """

    members: tuple[TrainedModel, ...]
    weights: tuple[float, ...] | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights (M,) of the mean, which sum to 1."""
        weights = self.weights or (1.0,) * len(self.members)
        return tuple(weight / sum(weights) for weight in weights)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    @property
    def facts(self) -> dict[str, Any]:
        """The first one's: where its data lies, and how it was read."""
        return self.members[0].facts

    @property
    def encoding(self) -> str:
        """That of the text that the first one was trained on."""
        return self.members[0].encoding

    @property
    def counts(self) -> Counts | None:
        """The members' counts where all have the same, with the mean of their weights."""
        counts = [member.counts for member in self.members]
        first = counts[0]
        if first is None or not all(c is not None and first.same_table(c) for c in counts):
            return None
        theirs = [c.weights for c in counts if c is not None]
        weights = np.average(theirs, axis=0, weights=self.shares)
        return Counts(first.table, Weights.of(weights))


Trained = TrainedModel | TrainedEnsemble


def read_models(
    paths: Path | Sequence[Path] | None, weights: Sequence[float] | None = None
) -> Trained:
    """Read one model, or several as an ensemble; a list of one path is that model alone.

    Args:
        paths: None: the newest (see `charrnn.models.find_model`).
        weights: of the models of an ensemble, each above 0; None: all the same.

    Raises:
        InputError: names the path that cannot be read, or whose model knows other characters
            than the first; or there is not one weight for each.
    """
    if weights is not None:
        count = 1 if paths is None or isinstance(paths, (str, os.PathLike)) else len(paths)
        require(
            len(weights) == count > 1 and all(map(POSITIVE.admits, weights)),
            "weights",
            list(weights),
            f"needs several models, checkpoint=[a,b] say, and a number above 0 for each "
            f"({count} given)",
        )
    if paths is None or isinstance(paths, (str, os.PathLike)):
        return read_model(paths)
    if not paths:
        raise InputError("an ensemble needs one path or more")
    models = tuple(read_model(path) for path in paths)
    for path, model in zip(paths, models, strict=True):
        if model.vocabulary != models[0].vocabulary:
            raise InputError(
                f"{path}: knows other characters than {paths[0]}, or in another order; the models "
                f"of an ensemble are trained on one text"
            )
    if len(models) == 1:
        return models[0]
    return TrainedEnsemble(models, None if weights is None else tuple(weights))


def with_counts(trained: Trained, counts: str) -> Trained:
    """A model as it is to be used: with its counts, where it has some, without them, or as those.

    Args:
        counts: "auto", "none" or "only".

    Raises:
        InputError: it is none of these, or there are no counts and they are to be all.
    """
    require(COUNTS.admits(counts), "counts", counts, COUNTS.demand)
    if counts == "auto":
        return trained
    if counts == "only" and trained.counts is None:
        raise InputError(
            "counts=only: the model has none; a training writes them into its run's "
            "model.safetensors, where they help"
        )

    def used(model: TrainedModel) -> TrainedModel:
        only = model.counts.only if model.counts and counts == "only" else None
        return replace(model, counts=only)

    if isinstance(trained, TrainedModel):
        return used(trained)
    return replace(trained, members=tuple(map(used, trained.members)))
