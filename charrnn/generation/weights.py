"""A model's weights, folded into as few products a character as there can be.

The embedding's product with the first layer's input weights is the same whenever a
character is the same, so it becomes a table with a row a character, which holds that
layer's biases too. A batch normalization that only evaluates is an affine map, and is
folded into what reads it: the next layer, or the decoder. Everything is computed in
float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel

Array = npt.NDArray[np.float32]
_ROWS_AT_ONCE = 1024  # of the table, so that its float64 copy stays small


@dataclass(frozen=True)
class Folded:
    """Weights by layer, float32; the cell's G gates stacked in the first axis, in its order.

    Attributes:
        table: (V, G*H), what the first layer gets for each character.
        inputs: (G*H, H) for each layer but the first.
        recurrent: (G*H, H) for each layer; none for a cell without recurrent weights.
        biases: (G*H,) for each layer but the first.
        own_biases: for each layer those of the gates that the cell keeps `apart`, one after
            the other; none for a cell without: the part of the bias that belongs to the
            recurrent sum.
        decoder: (V, H), decoder_bias: (V,).
    """

    architecture: Architecture
    table: Array
    inputs: list[Array]
    recurrent: list[Array]
    biases: list[Array]
    own_biases: list[Array]
    decoder: Array
    decoder_bias: Array


def fold(model: TrainedModel) -> Folded:
    """The weights of a trained model, folded.

    Weights that are too large to compute with become infinite here without a word: whoever
    chooses among their scores says so.
    """
    with np.errstate(all="ignore"):
        return _fold(model)


def _fold(model: TrainedModel) -> Folded:
    architecture = model.architecture
    H, cell = architecture.hidden_size, architecture.cell

    def weight(name: str) -> npt.NDArray[np.float64]:
        return model.weights[name].astype(np.float64, order="C")

    inputs, recurrent, biases, own_biases = [], [], [], []
    slope, shift = np.ones(architecture.embedding_size), np.zeros(architecture.embedding_size)
    for layer in range(architecture.num_layers):
        prefix = f"recurrent.{layer}."
        read = weight(prefix + "weight_ih_l0")
        bias = weight(prefix + "bias_ih_l0") + read @ shift
        if cell.recurrent:
            second = weight(prefix + "bias_hh_l0")
            if cell.apart:
                rows = [cell.rows(gate, H) for gate in cell.apart]
                own_biases.append(np.concatenate([second[r] for r in rows]).astype(np.float32))
                for r in rows:
                    second[r] = 0
            bias = bias + second
            own = model.weights[prefix + "weight_hh_l0"]
            recurrent.append(np.ascontiguousarray(own, np.float32))
        inputs.append(read * slope)
        biases.append(bias)
        slope, shift = np.ones(H), np.zeros(H)
        if architecture.batchnorm:
            norm = f"norms.{layer}."
            slope = weight(norm + "weight") / np.sqrt(weight(norm + "running_var") + BATCHNORM_EPS)
            shift = weight(norm + "bias") - weight(norm + "running_mean") * slope

    decoder = weight("decoder.weight")
    return Folded(
        architecture=architecture,
        table=_table(model.weights["embedding.weight"], inputs[0], biases[0]),
        inputs=[w.astype(np.float32) for w in inputs[1:]],
        recurrent=recurrent,
        biases=[b.astype(np.float32) for b in biases[1:]],
        own_biases=own_biases,
        decoder=(decoder * slope).astype(np.float32),
        decoder_bias=(weight("decoder.bias") + decoder @ shift).astype(np.float32),
    )


def _table(embedding: Array, read: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> Array:
    table = np.empty((len(embedding), len(read)), np.float32)
    for start in range(0, len(embedding), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        table[rows] = embedding[rows].astype(np.float64) @ read.T + bias
    return table
