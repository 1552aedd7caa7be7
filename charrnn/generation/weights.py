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

from charrnn.modelfile import TrainedModel

Array = npt.NDArray[np.float32]
BATCHNORM_EPS = 1e-5  # PyTorch's default, and torch-rnn's
_ROWS_AT_ONCE = 1024  # of the table, so that its float64 copy stays small


@dataclass(frozen=True)
class Folded:
    """Weights by layer, float32; G gates in PyTorch's order, stacked in the first axis.

    Attributes:
        table: (V, G*H), what the first layer gets for each character.
        inputs: (G*H, H) for each layer but the first.
        recurrent: (G*H, H) for each layer.
        biases: (G*H,) for each layer but the first.
        reset_biases: (H,) for each layer of a gru, else empty: the part of the bias that
            its reset gate multiplies.
        decoder: (V, H), decoder_bias: (V,).
    """

    kind: str
    hidden_size: int
    num_layers: int
    table: Array
    inputs: list[Array]
    recurrent: list[Array]
    biases: list[Array]
    reset_biases: list[Array]
    decoder: Array
    decoder_bias: Array

    @property
    def vocabulary_size(self) -> int:
        return len(self.decoder)

    @property
    def carried(self) -> int:
        """How many vectors (H,) a layer carries from character to character."""
        return 2 if self.kind == "lstm" else 1


def fold(model: TrainedModel) -> Folded:
    """The weights of a trained model, folded."""
    architecture = model.architecture
    H, kind = architecture.hidden_size, architecture.kind

    def weight(name: str) -> npt.NDArray[np.float64]:
        return model.weights[name].astype(np.float64, order="C")

    inputs, recurrent, biases, reset_biases = [], [], [], []
    slope, shift = np.ones(architecture.embedding_size), np.zeros(architecture.embedding_size)
    for layer in range(architecture.num_layers):
        prefix = f"recurrent.{layer}."
        read = weight(prefix + "weight_ih_l0")
        bias = weight(prefix + "bias_ih_l0") + read @ shift
        second = weight(prefix + "bias_hh_l0")
        if kind == "gru":
            reset_biases.append(second[2 * H :].astype(np.float32))
            second[2 * H :] = 0
        inputs.append(read * slope)
        biases.append(bias + second)
        recurrent.append(np.ascontiguousarray(model.weights[prefix + "weight_hh_l0"], np.float32))
        slope, shift = np.ones(H), np.zeros(H)
        if architecture.batchnorm:
            norm = f"norms.{layer}."
            slope = weight(norm + "weight") / np.sqrt(weight(norm + "running_var") + BATCHNORM_EPS)
            shift = weight(norm + "bias") - weight(norm + "running_mean") * slope

    decoder = weight("decoder.weight")
    return Folded(
        kind=kind,
        hidden_size=H,
        num_layers=architecture.num_layers,
        table=_table(model.weights["embedding.weight"], inputs[0], biases[0]),
        inputs=[w.astype(np.float32) for w in inputs[1:]],
        recurrent=recurrent,
        biases=[b.astype(np.float32) for b in biases[1:]],
        reset_biases=reset_biases,
        decoder=(decoder * slope).astype(np.float32),
        decoder_bias=(weight("decoder.bias") + decoder @ shift).astype(np.float32),
    )


def _table(embedding: Array, read: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> Array:
    table = np.empty((len(embedding), len(read)), np.float32)
    for start in range(0, len(embedding), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        table[rows] = embedding[rows].astype(np.float64) @ read.T + bias
    return table
