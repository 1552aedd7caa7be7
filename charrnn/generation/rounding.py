"""Weights in 8 bits: whole numbers from -127 to 127, and a scale for each row of a matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.generation.numba_terms import STEPS
from charrnn.generation.token_sampler import not_numbers
from charrnn.generation.weights import Array, Folded, fold
from charrnn.models.trained import TrainedModel

_LARGEST = 1e30  # of a weight: below it no sum of a network's numbers overflows
_LOW_BITS = 0x7F  # of a float32's 24
F = np.float32


class Rows(NamedTuple):
    """A matrix as whole numbers: its rows are `whole` (M, K) int8 times `scales` (M,)."""

    whole: npt.NDArray[np.int8]
    scales: Array

    @property
    def values(self) -> Array:
        """(M, K) float32, exact."""
        return self.whole * self.scales[:, None]


def in_rows(matrix: Array) -> Rows:
    """Each row in 255 even steps.

    A scale has 17 significant bits, so that its products with whole numbers are exact in float32,
    and a matrix that was rounded before stays what it is.
    """
    largest = np.abs(matrix).max(1, initial=0).astype(F) / F(STEPS)
    scales = ((largest.view(np.int32) + _LOW_BITS) & ~_LOW_BITS).view(F)
    each = scales[:, None]
    steps = np.rint(np.divide(matrix, each, out=np.zeros(matrix.shape, F), where=each > 0))
    return Rows(steps.astype(np.int8), scales)


def rounded(model: TrainedModel) -> TrainedModel:
    """The model with the rows of its matrices rounded."""
    weights = {
        name: in_rows(weight).values if weight.ndim == 2 else weight
        for name, weight in model.weights.items()
    }
    return replace(model, weights=weights)


def fold_rounded(model: TrainedModel) -> Folded:
    """The rounded weights of a trained model, folded, the same on every machine.

    Raises:
        RunError: they are too large to compute with.
    """
    for weight in model.weights.values():
        if not (np.abs(weight) < _LARGEST).all():
            raise not_numbers()
    return fold(rounded(model), _product_of_rounded)


def _product_of_rounded(left: Any, right: Any) -> npt.NDArray[np.float64]:
    """left @ right.T of two matrices with rounded rows: exact but for the last rounding."""
    a, b = in_rows(left.astype(F)), in_rows(right.astype(F))
    sums: Any = a.whole.astype(np.float64) @ b.whole.T.astype(np.float64)
    return sums * (a.scales[:, None].astype(np.float64) * b.scales)
