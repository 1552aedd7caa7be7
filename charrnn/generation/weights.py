"""A model's weights, folded into as few products a character as there can be.

The embedding's product with the first layer's input weights is the same whenever a character is the
same, so it becomes a table with a row a character, which holds that layer's biases too. A batch
normalization that only evaluates is an affine map, folded into what reads it, the next layer or the
decoder; where the layers' outputs are added up (``skip=sum``), each is scaled by itself and the
shifts go into the decoder's bias. Everything is computed in float64 and rounded once.

In int8 a matrix has numbers from -127 to 127, and a scale for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel
from charrnn.text.vocabulary import Vocabulary

Array = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Product = Callable[[Float64s, Float64s], Float64s]
INT8_MAX = 127
_LOW_BITS = 0x7F  # of a float32's 24


@dataclass(frozen=True)
class FoldedWeights:
    """Weights by layer, float32; the cell's G gates stacked in the first axis, in its order.

    Attributes:
        table: (V, G*H), what the first layer reads of each character.
        inputs: (G*H, H) for each layer but the first.
        recurrent: (G*H, H) for each layer.
        biases: (G*H,) for each layer but the first.
        hidden_bias: (H,) for each layer of a gru, PyTorch's b_hn: it is reset with the recurrent
            sum that it belongs to; none for other cells.
        scales: (H,) for each layer, what its output is multiplied with before the sum of all
            outputs; none without skip connections.
        decoder: (V, H), decoder_bias: (V,).
    """

    architecture: Architecture
    vocabulary: Vocabulary
    table: Array
    inputs: list[Array]
    recurrent: list[Array]
    biases: list[Array]
    hidden_bias: list[Array]
    scales: list[Array]
    decoder: Array
    decoder_bias: Array


def _product(left: Float64s, right: Float64s) -> Float64s:
    return left @ right.T


def fold(model: TrainedModel, product: Product = _product) -> FoldedWeights:
    """The weights of a trained model, folded.

    Args:
        product: what multiplies embeddings (V, D) with the weights (G*H, D) that read them.

    Weights that are too large to compute with become infinite here without a word: whoever
    chooses among their scores says so.
    """
    with np.errstate(all="ignore"):
        return _fold(model, product)


def _fold(model: TrainedModel, product: Product) -> FoldedWeights:
    architecture = model.architecture
    H, cell = architecture.hidden_size, architecture.cell

    def weight(name: str) -> Float64s:
        return model.weights[name].astype(np.float64, order="C")

    inputs, recurrent, biases, hidden_bias, scales = [], [], [], [], []
    # what is read is so many times what was computed, and so much more
    slope, shift = np.ones(architecture.embedding_size), np.zeros(architecture.embedding_size)
    shifts = np.zeros(H)  # of all outputs together
    for layer in range(architecture.num_layers):
        prefix = f"recurrent.{layer}."
        read = weight(prefix + "weight_ih_l0")
        bias = weight(prefix + "bias_ih_l0") + _matvec(read, shift)
        second = weight(prefix + "bias_hh_l0")
        for gate in cell.separate_sums:
            rows = cell.rows(gate, H)
            hidden_bias.append(second[rows].astype(np.float32))
            second[rows] = 0
        bias = bias + second
        recurrent.append(np.ascontiguousarray(model.weights[prefix + "weight_hh_l0"], np.float32))
        inputs.append(read * slope)
        biases.append(bias)
        slope, shift = np.ones(H), np.zeros(H)
        norm = f"norms.{layer}."
        if architecture.batchnorm:
            slope = weight(norm + "weight") / np.sqrt(weight(norm + "running_var") + BATCHNORM_EPS)
            shift = weight(norm + "bias") - weight(norm + "running_mean") * slope
        if architecture.skip != "none":
            scales.append(slope.astype(np.float32))
            slope, shifts = np.ones(H), shifts + shift
            if layer == architecture.num_layers - 1:
                shift = shifts

    decoder = weight("decoder.weight")
    return FoldedWeights(
        architecture=architecture,
        vocabulary=model.vocabulary,
        table=(product(weight("embedding.weight"), inputs[0]) + biases[0]).astype(np.float32),
        inputs=[w.astype(np.float32) for w in inputs[1:]],
        recurrent=recurrent,
        biases=[b.astype(np.float32) for b in biases[1:]],
        hidden_bias=hidden_bias,
        scales=scales,
        decoder=(decoder * slope).astype(np.float32),
        decoder_bias=(weight("decoder.bias") + _matvec(decoder, shift)).astype(np.float32),
    )


def _matvec(matrix: Float64s, vector: Float64s) -> Float64s:
    """Their product, added up from left to right: the same on every machine."""
    if not vector.any():
        return np.zeros(len(matrix))
    product: Float64s = np.add.accumulate(matrix * vector, 1)[:, -1]
    return product


class Int8Rows(NamedTuple):
    """A matrix whose rows are `int8` (M, K) times `scales` (M,)."""

    int8: npt.NDArray[np.int8]
    scales: Array

    @property
    def values(self) -> Array:
        """(M, K) float32, exact."""
        return self.int8 * self.scales[:, None]


def quantize_rows(matrix: Array) -> Int8Rows:
    """Each row in 255 even steps.

    A scale has 17 significant bits, so that its products with int8 are exact in float32, and a
    matrix that was rounded before stays what it is.
    """
    largest = np.abs(matrix).max(1, initial=0).astype(np.float32) / np.float32(INT8_MAX)
    scales = ((largest.view(np.int32) + _LOW_BITS) & ~_LOW_BITS).view(np.float32)
    each = scales[:, None]
    steps = np.rint(np.divide(matrix, each, out=np.zeros(matrix.shape, np.float32), where=each > 0))
    return Int8Rows(steps.astype(np.int8), scales)


def quantized(model: TrainedModel) -> TrainedModel:
    """The model with the rows of its matrices rounded to int8."""
    weights = {
        name: quantize_rows(weight).values if weight.ndim == 2 else weight
        for name, weight in model.weights.items()
    }
    return replace(model, weights=weights)
