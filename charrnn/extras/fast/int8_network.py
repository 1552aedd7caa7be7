"""A step of the network in int8."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from charrnn.extras.fast.compiling import F, compile_apart, inline
from charrnn.extras.fast.int8_products import Matrices, Rounded, add_products
from charrnn.extras.fast.rounded_math import sigmoid, tanh
from charrnn.extras.fast.vnni import GROUP_SIZE


class Network(NamedTuple):
    """The weights of a network with L layers."""

    kind: int  # a value of `KERNELS`
    table: Any  # (V, G*H), the input sums of the first layer for each character
    inputs: Matrices  # (L, G*H, H); those of the first layer are unused
    recurrent: Matrices  # (L, G*H, H)
    decoder: Matrices  # (1, V, H)
    biases: Any  # (L, G*H); those of the first layer are unused
    decoder_bias: Any  # (V,)
    hidden_bias: Any  # (L, H), the biases that a gru's r multiplies
    skip_sum: bool  # whether the decoder reads the sum of all layers' outputs
    output_scales: Any  # (L, H), the factors of the outputs in this sum


class Streams(NamedTuple):
    """B streams, B <= 4: their last characters, and the states before these."""

    ids: Any  # (B,)
    hidden: Any  # (L, B, H)
    cell: Any  # (L, B, H); only an lstm uses it
    counts: Any  # a `CountState`; its nodes are (B, 0) without counts


class Memory(NamedTuple):
    """The working memory of a step."""

    outputs: Any  # (L, B, H), of the layers; the decoder reads the last
    z: Any  # (B, G*H or more), the sums of the gates
    hidden_z: Any  # (B, G*H or more), their recurrent part
    rounded: Rounded


KERNELS = {"lstm": 0, "gru": 1, "rnn": 2}
# Compiled functions treat globals as constants.
_LSTM, _GRU = KERNELS["lstm"], KERNELS["gru"]


@inline
def make_memory(network, streams):  # type: ignore[no-untyped-def]
    """Return the `Memory` for a network and these streams."""
    _, B, H = streams.hidden.shape
    # Products also fill the rows up to whole blocks.
    width = max(network.inputs.scales.shape[1], network.decoder.scales.shape[1])
    outputs = np.empty_like(streams.hidden) if network.skip_sum else streams.hidden
    z, hidden_z = np.zeros((B, width), np.float32), np.zeros((B, width), np.float32)
    bytes_, scales = np.zeros((GROUP_SIZE, H + 16), np.uint8), np.zeros(GROUP_SIZE, np.float32)
    return Memory(outputs, z, hidden_z, Rounded(bytes_, scales))


@inline
def step(network, streams, memory):  # type: ignore[no-untyped-def]
    """Read one character per stream. The streams' states and memory.outputs are changed."""
    ids, hidden, cell = streams.ids, streams.hidden, streams.cell
    outputs, z, hidden_z, rounded = memory
    table, inputs, recurrent = network.table, network.inputs, network.recurrent
    L, B, H = hidden.shape
    width = table.shape[1]
    for layer in range(L):
        for b in range(B):
            if layer == 0:
                # read once, because for the compiler z could be the same memory
                id_ = ids[b]
                for m in range(width):
                    z[b, m] = table[id_, m]
            else:
                for m in range(width):
                    z[b, m] = network.biases[layer, m]
        if layer > 0:
            bounded, below = not network.skip_sum, layer - 1
            add_products(inputs, layer, outputs, below, bounded, z, rounded)
        sums = z
        if network.kind == _GRU:
            sums = hidden_z
            for b in range(B):
                for m in range(2 * H):
                    hidden_z[b, m] = F(0)
                for j in range(H):
                    hidden_z[b, 2 * H + j] = network.hidden_bias[layer, j]
        add_products(recurrent, layer, hidden, layer, True, sums, rounded)
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
def decode(network, memory, logits):  # type: ignore[no-untyped-def]
    """Fill the logits (B, V or more) after a step."""
    outputs, bias = memory.outputs, network.decoder_bias
    L, B, _ = outputs.shape
    for b in range(B):
        for v in range(len(bias)):
            logits[b, v] = bias[v]
    bounded = not network.skip_sum
    add_products(network.decoder, 0, outputs, L - 1, bounded, logits, memory.rounded)


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
