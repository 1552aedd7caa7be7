"""Round the weights of a page's network to as few bits as cost little.

In a rounded matrix each row has one scale, and holds int8: small ones, which are compressed well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.generation.draw import log_softmax
from charrnn.generation.engines import Engine
from charrnn.generation.numpy_network import FoldedWeights, fold_weights, make_network_step
from charrnn.generation.sampler import Sampler
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams

Array = npt.NDArray[np.float32]
TOLERANCE = 0.002  # nats per character; the largest cost at which weights are rounded
BITS = (5, 6, 7, 8)
_DIVERGENCE_CHARACTERS = 2000  # the length of the text for the measurement
_LOW_BITS = 0x7F  # of the 24 significant bits of a float32


def quantize_rows(matrix: Array, bits: int) -> tuple[npt.NDArray[np.int8], Array]:
    """Round each row of a matrix (M, K) to equidistant numbers: int8 (M, K) times scales (M,).

    A scale has 17 significant bits. So its products with int8 are exact in float32, and rounding
    a rounded matrix again does not change it.
    """
    largest = np.float32(2 ** (bits - 1) - 1)
    exact_scales = np.abs(matrix).max(1, initial=0).astype(np.float32) / largest
    scales = ((exact_scales.view(np.int32) + _LOW_BITS) & ~_LOW_BITS).view(np.float32)
    column, zeros = scales[:, None], np.zeros(matrix.shape, np.float32)
    integers = np.rint(np.divide(matrix, column, out=zeros, where=column > 0))
    return integers.astype(np.int8), scales


def quantize_weights(weights: FoldedWeights, bits: int) -> FoldedWeights:
    """Return the weights with the rows of their matrices rounded."""

    def round_rows(matrix: Array) -> Array:
        int8, scales = quantize_rows(matrix, bits)
        return int8 * scales[:, None]

    return replace(
        weights,
        table=round_rows(weights.table),
        inputs=[round_rows(matrix) for matrix in weights.inputs],
        recurrent=[round_rows(matrix) for matrix in weights.recurrent],
        decoder=round_rows(weights.decoder),
    )


class RoundedModel(NamedTuple):
    """A model, and its folded weights: of 32 bits, or of 8 or fewer."""

    model: TrainedModel
    weights: FoldedWeights
    bits: int = 32
    cost: float = 0.0  # the added loss, in nats per character


def choose_precision(model: TrainedModel) -> RoundedModel:
    """Round the weights to the fewest bits whose cost is small.

    The cost is measured on text that the model writes. On such text, the expected loss grows by
    the mean Kullback-Leibler divergence between the original and the rounded predictions.
    """
    weights = fold_weights(model)
    rounded = [quantize_weights(weights, bits) for bits in BITS]
    costs = compute_divergences(model, weights, *rounded)
    for bits, each, cost in zip(BITS, rounded, costs, strict=False):
        if cost <= TOLERANCE:
            return RoundedModel(model, each, bits, cost)
    return RoundedModel(model, weights)


def compute_divergences(model: TrainedModel, *weights: FoldedWeights) -> Iterator[float]:
    """Yield the mean divergences (nats per character) of networks from the first one.

    They read text of the model, whose counts are ignored.
    """
    sampler = Sampler(replace(model, counts=None))
    params = SamplingParams(_DIVERGENCE_CHARACTERS, temperature=1.0, min_p=0, seed=0)
    text = "".join(piece.text for piece in sampler.write(params))
    ids, state = sampler.prepare_prompt(model.vocabulary.encode(text))
    engines = [Engine(make_network_step(each), len(model.vocabulary), False) for each in weights]
    predicted = (log_softmax(engine.read(ids[None], state)[0][0]) for engine in engines)
    log_p = next(predicted)
    return (float((np.exp(log_p) * (log_p - log_q)).sum(-1).mean()) for log_q in predicted)
