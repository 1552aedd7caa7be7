"""Correlate units with features of a text, and estimate the correlations that chance produces.

The measure is Pearson's r between a unit's activation and a feature along a passage. Some of
several hundred units correlate with any feature, so each feature has a chance level. It is the
largest |r| of any unit with circularly shifted copies of the feature. A circular shift keeps the
autocorrelation of units and features. A shuffle of characters would destroy it, and every slow
unit would seem to follow every slow feature. With S shifts, chance exceeds this level once in
S + 1 times, for any number of units (the maximum statistic of Westfall and Young, 1993).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from charrnn.extras.inspect.features import FEATURES, Values
from charrnn.generation.draw import Array

SHIFTS = 19  # Chance exceeds the level once in 20 times.
MIN_SHIFT = 0.05  # a share of the passage
MIN_CHARACTERS = 20  # Features that fewer characters have, or lack, are not shown.
_SEED = 20150521

Correlations = npt.NDArray[np.float64]  # (U, F)


def compute_features(text: str) -> dict[str, Values]:
    """Return the features (T,) of a text that vary enough in it."""
    values = {name: feature.compute(text) for name, feature in FEATURES.items()}
    return {name: value for name, value in values.items() if _varies(value)}


def compute_correlations(
    vectors: Sequence[Array], features: dict[str, Values]
) -> tuple[Correlations, npt.NDArray[np.float64]]:
    """Compute the correlation of each unit with each feature.

    Args:
        vectors: activations (T, H). Together they have U units, numbered in order.
        features: F arrays (T,) by name.

    Returns:
        r (U, F), and the chance level (F,) of each feature.
    """
    length = len(vectors[0])
    if not features:
        return np.zeros((sum(vector.shape[1] for vector in vectors), 0)), np.zeros(0)
    columns = _standardize(np.stack(list(features.values()), 1))
    least = int(MIN_SHIFT * length)
    shifts = np.random.default_rng(_SEED).integers(least, max(least + 1, length - least), SHIFTS)
    blocks, chance = [], np.zeros(columns.shape[1])
    for vector in vectors:
        units = _standardize(vector).T
        blocks.append(units @ columns / length)
        for shift in shifts:
            shifted = units @ np.roll(columns, shift, 0) / length
            chance = np.maximum(chance, np.abs(shifted).max(0))
    return np.concatenate(blocks).astype(np.float64), chance


def _varies(values: Values) -> bool:
    _, counts = np.unique(values, return_counts=True)
    return bool(len(values) - counts.max() >= MIN_CHARACTERS)


def _standardize(columns: Array) -> Array:
    """Scale columns (T, K) to mean 0 and variance 1; constant columns become 0."""
    centered = columns - columns.mean(0, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt((centered * centered).mean(0, dtype=np.float64)).astype(np.float32)
    result: Array = centered / np.where(deviation > 1e-6, deviation, np.inf).astype(np.float32)
    return result
