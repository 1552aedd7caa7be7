"""Damage to the arrays of a table, as a hostile file may have it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def damaged(values: np.ndarray) -> Iterator[np.ndarray]:
    """An array shorter, longer, in another order or type, too large, and wrapped around."""
    yield values[:-1]
    yield values[:0]
    yield np.append(values, values[-1:])
    yield values[::-1].copy()
    yield values.astype(np.int8)
    yield values[None]
    yield np.full_like(values, 255)
    yield np.zeros_like(values)
    yield np.append(values.astype(np.uint64)[:-1], np.uint64(2**64 - 1))
    yield np.append(values.astype(np.uint32)[:-1], np.uint32(2**31))
