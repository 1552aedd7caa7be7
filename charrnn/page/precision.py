"""In how few bits a model's weights predict as well as they did."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from charrnn.generation.engines import Engines, has_kernel
from charrnn.generation.sampler import Sampler
from charrnn.generation.token_sampler import log_softmax
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.page.packing import EXACT, PRECISIONS, Precision, rounded

TOLERANCE = 0.002  # nats a character
_CHARACTERS = 2000  # of the text by which it is measured


class Chosen(NamedTuple):
    """Weights in a precision.

    Attributes:
        model: the model that they make.
        cost: what they add to the loss, in nats a character.
    """

    precision: Precision
    model: TrainedModel
    cost: float


def in_precision(model: TrainedModel, bits: int | None = None) -> Chosen:
    """The model with its weights in so many bits, or in the fewest that keep its loss.

    The cost is measured on text that the model itself writes: over such text, the loss grows by
    the mean Kullback-Leibler divergence of the new predictions from the old.
    """
    for precision in PRECISIONS:
        if precision == EXACT or bits not in (None, precision.bits):
            continue
        other = rounded(model, precision)
        cost = divergence(model, other)
        if bits or cost <= TOLERANCE:
            return Chosen(precision, other, cost)
    return Chosen(EXACT, model, 0.0)


def divergence(model: TrainedModel, other: TrainedModel) -> float:
    """The mean divergence (nats a character) of another's predictions, over text of the first.

    Both are looked at without the counts that they may have.
    """
    model, other = replace(model, counts=None), replace(other, counts=None)
    sampler = Sampler(model)
    engine = "numpy" if has_kernel("numpy", model.architecture.kind) else "torch"
    options = SamplingParams(_CHARACTERS, temperature=1.0, seed=0, engine=engine)
    text = "".join(piece.text for piece in sampler.write(options))
    ids, state = sampler.known(text)
    p, q = (
        log_softmax(Engines(each).reader.read(ids[None], state)[0][0]) for each in (model, other)
    )
    return float((np.exp(p) * (p - q)).sum(-1).mean())
