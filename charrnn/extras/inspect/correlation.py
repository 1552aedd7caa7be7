"""Which unit follows which feature of a text, and how closely one would by chance.

The measure is Pearson's correlation r of a unit's activation with a feature along a passage.
Among hundreds of units some correlate with anything, so each feature has a level of chance:
the largest |r| that any unit reaches with the feature moved along the passage, its end going
on at its beginning. Such a circular shift keeps what neighbouring characters have in common,
of the unit as of the feature; to shuffle single characters would destroy it, and then every
slow unit would seem to follow every slow feature. A largest value over all units of S shifts
is exceeded by chance once in S + 1 times, however many units there are (the maximum statistic
of Westfall and Young, 1993).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from charrnn.extras.inspect.features import FEATURES, Values
from charrnn.generation.draw import Array

SHIFTS = 19  # so that chance exceeds the level once in 20 times
LEAST_SHIFT = 0.05  # of the passage
LEAST_CHARACTERS = 20  # a feature that so few have, or lack, says nothing
_SEED = 20150521

Correlations = npt.NDArray[np.float64]  # (U, F)


def features_of(text: str) -> dict[str, Values]:
    """The features (T,) of a text that vary in it."""
    values = {name: feature.of(text) for name, feature in FEATURES.items()}
    return {name: value for name, value in values.items() if _varies(value)}


def correlations(
    parts: Sequence[Array], features: dict[str, Values]
) -> tuple[Correlations, npt.NDArray[np.float64]]:
    """How units correlate with features.

    Args:
        parts: activations (T, H) each; the U units of all of them are numbered in order.
        features: (T,) each.

    Returns:
        r (U, F), and for each feature the level (F,) of chance.
    """
    length = len(parts[0])
    if not features:
        return np.zeros((sum(p.shape[1] for p in parts), 0)), np.zeros(0)
    columns = _standardized(np.stack(list(features.values()), 1))
    blocks = []
    chance = np.zeros(columns.shape[1])
    for part in parts:
        units = _standardized(part).T
        blocks.append(units @ columns / length)
        for shift in _shifts(length):
            moved = units @ np.roll(columns, shift, 0) / length
            chance = np.maximum(chance, np.abs(moved).max(0))
    return np.concatenate(blocks).astype(np.float64), chance


def _varies(values: Values) -> bool:
    _, counts = np.unique(values, return_counts=True)
    return bool(len(values) - counts.max() >= LEAST_CHARACTERS)


def _shifts(length: int) -> Iterator[int]:
    numbers = np.random.default_rng(_SEED)
    least = int(LEAST_SHIFT * length)
    for _ in range(SHIFTS):
        yield int(numbers.integers(least, max(least + 1, length - least)))


def _standardized(columns: Array) -> Array:
    """Columns (T, K) of mean 0 and variance 1; those that do not vary become 0."""
    centred = columns - columns.mean(0, dtype=np.float64).astype(np.float32)
    spread = np.sqrt((centred * centred).mean(0, dtype=np.float64)).astype(np.float32)
    result: Array = centred / np.where(spread > 1e-6, spread, np.inf).astype(np.float32)
    return result
