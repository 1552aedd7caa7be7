"""One recurrent layer of each kind, as a list of NumPy calls.

At 2 x 128 a call's overhead weighs as much as its arithmetic, so there are few of them:

- sigmoid(x) is (1 + tanh(x / 2)) / 2. Its inner half is folded into the weights, so that one
  tanh covers all gates; its outer half is folded into what reads the product that the gate is
  in. An LSTM's hidden vectors are therefore kept doubled. Powers of two cost no accuracy.
- An LSTM's gates lie in the order o, i, f, g, followed by its cell, so that the two products
  of its cell's sum, i * g and f * cell, are one call.
- A layer's own hidden vector lies behind what it reads, so that both are one operand of one
  product.

Shapes are given for N streams; with one stream the first axis is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from charrnn.generation.weights import Array, Folded

Call = Callable[[], object]

_ONE = np.array(1, np.float32)  # as arrays: NumPy takes twice as long over a Python number
_HALF = np.array(0.5, np.float32)


class Layer(Protocol):
    """One layer's weights, laid out for the calls.

    Attributes:
        hidden_scale: the hidden vectors are kept multiplied by this.
    """

    hidden_scale: float

    def __init__(self, folded: Folded, layer: int) -> None: ...

    @staticmethod
    def rows(stacked: Array) -> Array:
        """Rows (G*H, ...) of the stacked gates as this layer has them in its sums."""
        ...

    def calls(self, below: Array, h: Array, entry: Array) -> tuple[list[Call], tuple[Array, ...]]:
        """The calls of one step, and the buffers of what the layer carries.

        Args:
            below: what the layer reads, as it was kept by the layer below, and then its own
                hidden vectors, (N, 2H); for the first layer its own alone, (N, H).
            h: this layer's part of `below`, (N, H).
            entry: (N, G*H), the first layer's row of the table, which it may overwrite; other
                layers leave it alone.
        """
        ...


def _operand(weight: Array) -> Array:
    """(G*H, K) as the (K, G*H) of a product from the right."""
    return np.ascontiguousarray(weight.T)


def _like(buffer: Array, size: int) -> Array:
    return np.empty((*buffer.shape[:-1], size), np.float32)


class _RNN:
    hidden_scale = 1.0

    def __init__(self, folded: Folded, layer: int) -> None:
        fused, self._bias = _fused(folded, layer)
        self._weight = _operand(fused)

    @staticmethod
    def rows(stacked: Array) -> Array:
        return stacked

    def calls(self, below: Array, h: Array, entry: Array) -> tuple[list[Call], tuple[Array, ...]]:
        fixed = entry if self._bias is None else self._bias
        z = _like(h, h.shape[-1])
        calls: list[Call] = [
            partial(np.matmul, below, self._weight, z),
            partial(np.add, z, fixed, z),
            partial(np.tanh, z, h),
        ]
        return calls, (h,)


class _LSTM:
    hidden_scale = 2.0

    def __init__(self, folded: Folded, layer: int) -> None:
        fused, bias = _fused(folded, layer)
        self._weight = _operand(self.rows(fused) * _HALF)  # it reads doubled vectors
        self._bias = None if bias is None else self.rows(bias)

    @staticmethod
    def rows(stacked: Array) -> Array:
        """Rows of i, f, g, o as o, i, f, g, with the sigmoids' inner halves."""
        i, f, g, o = np.split(stacked, 4)
        return np.concatenate([o * _HALF, i * _HALF, f * _HALF, g])

    def calls(self, below: Array, h: Array, entry: Array) -> tuple[list[Call], tuple[Array, ...]]:
        H = h.shape[-1]
        buffer = _like(h, 5 * H)
        gates, opened, o = buffer[..., : 4 * H], buffer[..., : 3 * H], buffer[..., :H]
        i_and_f, g_and_c = buffer[..., H : 3 * H], buffer[..., 3 * H :]
        c = buffer[..., 4 * H :]
        products = _like(h, 2 * H)
        calls: list[Call] = [
            partial(np.matmul, below, self._weight, gates),
            partial(np.add, gates, entry if self._bias is None else self._bias, gates),
            partial(np.tanh, gates, gates),
            partial(np.add, opened, _ONE, opened),  # o, i and f, doubled
            partial(np.multiply, i_and_f, g_and_c, products),
            partial(np.add, products[..., :H], products[..., H:], c),
            partial(np.multiply, c, _HALF, c),
            partial(np.tanh, c, h),
            partial(np.multiply, h, o, h),
        ]
        return calls, (h, c)


class _GRU:
    hidden_scale = 1.0

    def __init__(self, folded: Folded, layer: int) -> None:
        H = folded.architecture.hidden_size
        recurrent = self.rows(folded.recurrent[layer])
        recurrent[2 * H :] *= _HALF  # the outer half of r
        self._recurrent = _operand(recurrent)
        self._reset_bias = folded.own_biases[layer] * _HALF
        self._input = _operand(self.rows(folded.inputs[layer - 1])) if layer else None
        self._bias = self.rows(folded.biases[layer - 1]) if layer else None

    @staticmethod
    def rows(stacked: Array) -> Array:
        """Rows of r, z, n with the sigmoids' inner halves."""
        rows = stacked.copy()
        rows[: len(rows) // 3 * 2] *= _HALF
        return rows

    def calls(self, below: Array, h: Array, entry: Array) -> tuple[list[Call], tuple[Array, ...]]:
        H = h.shape[-1]
        calls: list[Call] = []
        if self._input is not None:
            entry = _like(h, 3 * H)
            calls += [
                partial(np.matmul, below[..., :H], self._input, entry),
                partial(np.add, entry, self._bias, entry),
            ]
        own, n = _like(h, 3 * H), _like(h, H)
        r_and_z, own_n = own[..., : 2 * H], own[..., 2 * H :]
        calls += [
            partial(np.matmul, h, self._recurrent, own),
            partial(np.add, r_and_z, entry[..., : 2 * H], r_and_z),
            partial(np.tanh, r_and_z, r_and_z),
            partial(np.add, r_and_z, _ONE, r_and_z),  # r and z, doubled
            partial(np.add, own_n, self._reset_bias, own_n),
            partial(np.multiply, own_n, own[..., :H], own_n),
            partial(np.add, own_n, entry[..., 2 * H :], n),
            partial(np.tanh, n, n),
            # h = n + z * (h - n)
            partial(np.subtract, h, n, h),
            partial(np.multiply, h, own[..., H : 2 * H], h),
            partial(np.multiply, h, _HALF, h),
            partial(np.add, h, n, h),
        ]
        return calls, (h,)


def _fused(folded: Folded, layer: int) -> tuple[Array, Array | None]:
    """Weights (G*H, H or 2H) that read the layer below and the layer itself, and the bias."""
    if layer == 0:
        return folded.recurrent[0], None
    fused = np.concatenate([folded.inputs[layer - 1], folded.recurrent[layer]], axis=1)
    return fused, folded.biases[layer - 1]


# The cells that can be stepped here
KERNELS: dict[str, type[Layer]] = {
    "lstm": _LSTM,
    "gru": _GRU,
    "rnn": _RNN,
}
