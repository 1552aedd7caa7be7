"""Weights in 8 bits: int8 from -127 to 127, and a scale for each row of a matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

INT8_MAX = 127
_LOW_BITS = 0x7F  # of a float32's 24
F = np.float32


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
    largest = np.abs(matrix).max(1, initial=0).astype(F) / F(INT8_MAX)
    scales = ((largest.view(np.int32) + _LOW_BITS) & ~_LOW_BITS).view(F)
    each = scales[:, None]
    steps = np.rint(np.divide(matrix, each, out=np.zeros(matrix.shape, F), where=each > 0))
    return Int8Rows(steps.astype(np.int8), scales)
