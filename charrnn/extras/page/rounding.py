"""Round the weights of a page's network to int8 if this costs little.

In a rounded matrix each row holds numbers from -127 to 127 and has one scale.
"""

from __future__ import annotations

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
TOLERANCE = 0.002  # nats per character; the largest cost at which 8 bits are chosen
_DIVERGENCE_CHARACTERS = 2000  # the length of the text for the measurement
INT8_MAX = 127
_LOW_BITS = 0x7F  # of the 24 significant bits of a float32


def quantize_rows(matrix: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Round each row of a matrix (M, K) to 255 equidistant numbers: int8 (M, K) times scales (M,).

    A scale has 17 significant bits. So its products with int8 are exact in float32, and rounding
    a rounded matrix again does not change it.
    """
    exact_scales = np.abs(matrix).max(1, initial=0).astype(np.float32) / np.float32(INT8_MAX)
    scales = ((exact_scales.view(np.int32) + _LOW_BITS) & ~_LOW_BITS).view(np.float32)
    column, zeros = scales[:, None], np.zeros(matrix.shape, np.float32)
    integers = np.rint(np.divide(matrix, column, out=zeros, where=column > 0))
    return integers.astype(np.int8), scales


def round_rows(matrix: Array) -> Array:
    """Return the matrix that `quantize_rows` describes."""
    int8, scales = quantize_rows(matrix)
    return int8 * scales[:, None]


def quantize_weights(weights: FoldedWeights) -> FoldedWeights:
    """Return the weights with the rows of their matrices rounded to int8."""
    return replace(
        weights,
        table=round_rows(weights.table),
        inputs=[round_rows(matrix) for matrix in weights.inputs],
        recurrent=[round_rows(matrix) for matrix in weights.recurrent],
        decoder=round_rows(weights.decoder),
    )


class RoundedModel(NamedTuple):
    """A model, and its folded weights of 8 or 32 bits."""

    model: TrainedModel
    weights: FoldedWeights
    bits: int = 32
    cost: float = 0.0  # the added loss, in nats per character


def choose_precision(model: TrainedModel) -> RoundedModel:
    """Round the weights to 8 bits if the cost is small.

    The cost is measured on text that the model writes. On such text, the expected loss grows by
    the mean Kullback-Leibler divergence between the original and the rounded predictions.
    """
    weights = fold_weights(model)
    rounded = quantize_weights(weights)
    cost = compute_divergence(model, weights, rounded)
    if cost <= TOLERANCE:
        return RoundedModel(model, rounded, 8, cost)
    return RoundedModel(model, weights)


def compute_divergence(model: TrainedModel, *weights: FoldedWeights) -> float:
    """Return the mean divergence (nats per character) of two networks on text of the model.

    Its counts are ignored.
    """
    sampler = Sampler(replace(model, counts=None))
    params = SamplingParams(_DIVERGENCE_CHARACTERS, temperature=1.0, min_p=0, seed=0)
    text = "".join(piece.text for piece in sampler.write(params))
    ids, state = sampler.prepare_prompt(model.vocabulary.encode(text))
    engines = [Engine(make_network_step(each), len(model.vocabulary), False) for each in weights]
    log_p, log_q = (log_softmax(engine.read(ids[None], state)[0][0]) for engine in engines)
    return float((np.exp(log_p) * (log_p - log_q)).sum(-1).mean())
