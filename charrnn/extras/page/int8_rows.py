"""Matrices rounded to int8: each row holds numbers from -127 to 127 and has one scale."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.models.trained import TrainedModel

Array = npt.NDArray[np.float32]
INT8_MAX = 127
_LOW_BITS = 0x7F  # of the 24 significant bits of a float32


class Int8Rows(NamedTuple):
    """A matrix whose rows are `int8` (M, K) times `scales` (M,)."""

    int8: npt.NDArray[np.int8]
    scales: Array

    @property
    def values(self) -> Array:
        """The matrix (M, K) in float32, exact."""
        return self.int8 * self.scales[:, None]


def quantize_rows(matrix: Array) -> Int8Rows:
    """Round each row of a matrix to 255 equidistant numbers.

    A scale has 17 significant bits. So its products with int8 are exact in float32, and rounding
    a rounded matrix again does not change it.
    """
    exact_scales = np.abs(matrix).max(1, initial=0).astype(np.float32) / np.float32(INT8_MAX)
    scales = ((exact_scales.view(np.int32) + _LOW_BITS) & ~_LOW_BITS).view(np.float32)
    column, zeros = scales[:, None], np.zeros(matrix.shape, np.float32)
    integers = np.rint(np.divide(matrix, column, out=zeros, where=column > 0))
    return Int8Rows(integers.astype(np.int8), scales)


def quantize_model(model: TrainedModel) -> TrainedModel:
    """Return the model with the rows of its matrices rounded to int8."""
    weights = {
        name: quantize_rows(weight).values if weight.ndim == 2 else weight
        for name, weight in model.weights.items()
    }
    return replace(model, weights=weights)
