"""Products of matrices and vectors in int8."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from charrnn.extras.fast.compiling import F, inline
from charrnn.extras.fast.vnni import GROUP_SIZE, add_group_by_vnni, add_one_by_vnni
from charrnn.generation.int8_rows import INT8_MAX

_ONE, _INT8_MAX = F(1), F(INT8_MAX)


class Matrices(NamedTuple):
    """The matrices of L layers in int8, with a scale for each row."""

    int8: Any  # (L, M, K), or `pack_for_vnni`
    scales: Any  # (L, M), and more columns up to a multiple of 16


class Rounded(NamedTuple):
    """Up to four vectors in int8."""

    bytes_: Any  # (4, K) uint8, the numbers plus 128; 16 columns more for the last block
    scales: Any  # (4,)


@inline
def add_products(matrices, layer, vectors, place, bounded, zs, rounded):  # type: ignore[no-untyped-def]
    """Compute zs[b] += matrices[layer] @ vectors[place, b] for each stream b.

    Args:
        vectors: (_, B, K), B at most 4; `place` is the first index.
        bounded: whether the vectors' numbers are from -1 to 1, and rounded to multiples of 1/127;
            otherwise the largest number of each vector becomes 127.
        zs: (B, M), and more columns up to a multiple of 16.
        rounded: working memory.
    """
    B, bytes_, scales = vectors.shape[1], rounded.bytes_, rounded.scales
    group = B if B == GROUP_SIZE else 1
    for first in range(0, B, group):
        for b in range(group):
            scales[b] = _quantize(vectors, place, first + b, bounded, bytes_, b)
        _add_dots(matrices.int8, matrices.scales, layer, zs, first, group, rounded)


@inline
def _quantize(vectors, place, stream, bounded, bytes_, b):  # type: ignore[no-untyped-def]
    """Fill bytes_[b] with 128 + a vector rounded to int8 from -127 to 127. Return its scale.

    AVX-512 VNNI multiplies unsigned bytes by signed ones, so 128 is added to one factor.
    """
    K, largest = vectors.shape[2], _ONE
    if not bounded:  # see `add_products`
        largest = F(0)
        for k in range(K):
            largest = max(largest, abs(vectors[place, stream, k]))
    inverse = _INT8_MAX / largest if largest > F(0) else F(0)
    for k in range(K):
        integer = np.int32(np.rint(vectors[place, stream, k] * inverse))
        bytes_[b, k] = np.uint8(integer + np.int32(128))
    return largest / _INT8_MAX


@inline
def _add_dots(weights, scales, layer, zs, first, group, rounded):  # type: ignore[no-untyped-def]
    """Compute zs[first : first + group] += rounded @ weights[layer].T; `group` is 1 or 4."""
    if weights.ndim == 3:  # numba compiles only one branch, because an argument has one ndim.
        _add_dots_portably(weights, scales, layer, zs, first, group, rounded)
    elif group == GROUP_SIZE:
        add_group_by_vnni(weights, scales, layer, zs, first, rounded.bytes_, rounded.scales)
    else:
        add_one_by_vnni(weights, scales, layer, zs, first, rounded.bytes_, rounded.scales)


@inline
def _add_dots_portably(  # type: ignore[no-untyped-def]
    weights, scales, layer, zs, first, group, rounded
):
    bytes_, vector_scales, (_, M, K) = rounded.bytes_, rounded.scales, weights.shape
    for m in range(M):
        for b in range(group):
            total = np.int32(0)
            for k in range(K):
                signed = np.int32(np.int32(bytes_[b, k]) - np.int32(128))
                total = np.int32(total + np.int32(np.int32(weights[layer, m, k]) * signed))
            zs[first + b, m] += F(total) * (scales[layer, m] * vector_scales[b])
