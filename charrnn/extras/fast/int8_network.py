"""A step of the network in int8."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from charrnn.extras.fast.compiling import F, compile_apart, inline
from charrnn.extras.fast.rounded_math import sigmoid, tanh
from charrnn.extras.fast.vnni import GROUP_SIZE, add_group_by_vnni, add_one_by_vnni
from charrnn.generation.int8_rows import INT8_MAX


class Network(NamedTuple):
    """The weights of a network with L layers. Matrices are int8 or `pack_for_vnni`."""

    kind: int  # a value of `KERNELS`
    table: Any  # (V, G*H), the input sums of the first layer for each character
    inputs: Any  # (L, G*H, H); those of the first layer are unused
    recurrent: Any  # (L, G*H, H)
    decoder: Any  # (1, V, H)
    row_scales: Any  # (2 L + 1, M), for inputs, recurrent weights and the decoder
    biases: Any  # (L, G*H); those of the first layer are unused
    decoder_bias: Any  # (V,)
    hidden_bias: Any  # (L, H), the biases that a gru's r multiplies
    skip_sum: bool  # whether the decoder reads the sum of all layers' outputs
    output_scales: Any  # (L, H), the factors of the outputs in this sum


KERNELS = {"lstm": 0, "gru": 1, "rnn": 2}
# Compiled functions treat globals as constants.
_LSTM, _GRU = KERNELS["lstm"], KERNELS["gru"]
_ONE, _INT8_MAX = F(1), F(INT8_MAX)


@inline
def add_products(  # type: ignore[no-untyped-def]
    weights, layer, row_scales, row, bounded, vectors, place, zs, bytes_, scales
):
    """Compute zs[b] += weights[layer] @ vectors[place, b] for each stream b.

    Args:
        weights: of all layers, (L, M, K) int8, or `fast_engines.pack_for_vnni`.
        row_scales: (S, M), the scales of the weights' rows, at the index `row`.
        bounded: whether the vectors' numbers are from -1 to 1, and rounded to multiples of 1/127;
            otherwise the largest number of each vector becomes 127.
        vectors: (_, B, K), B at most 4; `place` is the first index.
        zs: (B, M). zs and row_scales may have more columns, up to a multiple of 16.
        bytes_: (4, K), working memory for the rounded vectors.
        scales: (4,), working memory for their scales.
    """
    B = vectors.shape[1]
    group = B if B == GROUP_SIZE else 1
    for first in range(0, B, group):
        for b in range(group):
            scales[b] = _quantize(vectors, place, first + b, bounded, bytes_, b)
        add_dots(weights, layer, row_scales, row, zs, first, group, bytes_, scales)


@inline
def _quantize(vectors, place, stream, bounded, bytes_, b):  # type: ignore[no-untyped-def]
    """Fill bytes_[b] with 128 + a vector rounded to int8 from -127 to 127. Return its scale."""
    K, largest = vectors.shape[2], _ONE
    if not bounded:
        largest = F(0)
        for k in range(K):
            largest = max(largest, abs(vectors[place, stream, k]))
    inverse = _INT8_MAX / largest if largest > F(0) else F(0)
    for k in range(K):
        integer = np.int32(np.rint(vectors[place, stream, k] * inverse))
        bytes_[b, k] = np.uint8(integer + np.int32(128))
    return largest / _INT8_MAX


@inline
def add_dots(  # type: ignore[no-untyped-def]
    weights, layer, row_scales, row, zs, first, group, bytes_, scales
):
    """Compute zs[first : first + group] += bytes_ @ weights[layer].T, scaled; `group` is 1 or 4."""
    if weights.ndim == 3:  # numba compiles only one branch, because a type has one ndim.
        _add_dots_portably(weights, layer, row_scales, row, zs, first, group, bytes_, scales)
    elif group == GROUP_SIZE:
        add_group_by_vnni(weights, layer, row_scales, row, zs, first, bytes_, scales)
    else:
        add_one_by_vnni(weights, layer, row_scales, row, zs, first, bytes_, scales)


@inline
def _add_dots_portably(  # type: ignore[no-untyped-def]
    weights, layer, row_scales, row, zs, first, group, bytes_, scales
):
    _, M, K = weights.shape
    for m in range(M):
        for b in range(group):
            total = np.int32(0)
            for k in range(K):
                signed = np.int32(np.int32(bytes_[b, k]) - np.int32(128))
                total = np.int32(total + np.int32(np.int32(weights[layer, m, k]) * signed))
            zs[first + b, m] += F(total) * (row_scales[row, m] * scales[b])


@inline
def step(network, ids, hidden, cell, outputs, z, hidden_z, bytes_, scales):  # type: ignore[no-untyped-def]
    """Read one character per stream, for B streams.

    Args:
        ids: (B,).
        hidden, cell: (L, B, H), changed in place; only an lstm uses the cell.
        outputs: (L, B, H), filled with the layers' outputs; the decoder reads the last. Without
            skip connections it is `hidden`.
        z, hidden_z: (B, G*H or more), working memory, like bytes_ and scales (`add_products`).
    """
    L, B, H = hidden.shape
    row_scales, width = network.row_scales, network.table.shape[1]
    for layer in range(L):
        for b in range(B):
            if layer == 0:
                id_ = ids[b]  # read once, because for the compiler z could be the same memory
                for m in range(width):
                    z[b, m] = network.table[id_, m]
            else:
                for m in range(width):
                    z[b, m] = network.biases[layer, m]
        if layer > 0:
            bounded = not network.skip_sum
            add_products(
                network.inputs, layer, row_scales, layer, bounded, outputs, layer - 1, z, bytes_,
                scales,
            )  # fmt: skip
        sums = z
        if network.kind == _GRU:
            sums = hidden_z
            for b in range(B):
                for m in range(2 * H):
                    hidden_z[b, m] = F(0)
                for j in range(H):
                    hidden_z[b, 2 * H + j] = network.hidden_bias[layer, j]
        add_products(
            network.recurrent, layer, row_scales, L + layer, True, hidden, layer, sums, bytes_,
            scales,
        )  # fmt: skip
        for b in range(B):
            _apply_gates(network.kind, z, hidden_z, hidden, cell, layer, b)
            if network.skip_sum:
                _scale_output(network.output_scales[layer], hidden[layer, b], outputs[layer, b])
    if network.skip_sum:
        for layer in range(L - 1):
            for b in range(B):
                for j in range(H):
                    outputs[L - 1, b, j] += outputs[layer, b, j]


@inline
def _apply_gates(kind, z, hidden_z, hidden, cell, layer, b):  # type: ignore[no-untyped-def]
    """Update a stream's hidden vector, and an lstm's cell, in place.

    z (B, G*H) has all sums of the gates; for a gru only the input sums, and hidden_z the others.
    """
    H = hidden.shape[2]
    if kind == _LSTM:
        for j in range(H):
            i, f = sigmoid(z[b, j]), sigmoid(z[b, H + j])
            c = f * cell[layer, b, j] + i * tanh(z[b, 2 * H + j])
            cell[layer, b, j] = c
            hidden[layer, b, j] = sigmoid(z[b, 3 * H + j]) * tanh(c)
    elif kind == _GRU:
        for j in range(H):
            r = sigmoid(z[b, j] + hidden_z[b, j])
            u = sigmoid(z[b, H + j] + hidden_z[b, H + j])
            n = tanh(z[b, 2 * H + j] + r * hidden_z[b, 2 * H + j])
            hidden[layer, b, j] = n + u * (hidden[layer, b, j] - n)
    else:
        for j in range(H):
            hidden[layer, b, j] = tanh(z[b, j])


@compile_apart  # If it were inlined, the gates would not be vectorized.
def _scale_output(scale, h, output):  # type: ignore[no-untyped-def]
    """Fill `output` (H,) with a layer's scaled hidden vector."""
    for j in range(len(h)):
        output[j] = h[j] * scale[j]
