"""A network in int8: what ``precision=8`` computes, to the last bit.

The rows of each matrix are int8 with a scale (`charrnn.generation.weights`), and the vectors that
they are multiplied with are rounded likewise. A sum of whole numbers is the same in any order, so a
processor may add them up as it likes. All else is float32 in the order written here: IEEE 754 says
what each operation gives, and exponentials and logarithms are made of these operations, since a
library's differ from one machine to the next. The weights of a draw are multiples of 2**-30, whose
sums in float64 are exact.

This is the definition, in NumPy; the compiled loop gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import non_finite_scores
from charrnn.generation.numpy_engine import State
from charrnn.generation.token_sampler import Floats, Ids
from charrnn.generation.weights import (
    INT8_MAX,
    Array,
    FoldedWeights,
    fold,
    quantize_rows,
    quantized,
)
from charrnn.models.trained import TrainedModel

# 2**f = 1 + f * q(f) for f in [-0.5, 0.5], q fitted at Chebyshev points, the lowest power first
POWER_OF_TWO = tuple(
    np.float32(c)
    for c in (
        0.6931471880293426,
        0.24022650922342706,
        0.055503571042531036,
        0.009618056669891782,
        0.001339086735134184,
        0.00015461447461418272,
    )
)
LOG2_E = np.float32(math.log2(math.e))
LARGEST_POWER = np.float32(100)  # of two: where tanh and sigmoid have long reached their limit
# tanh(x) = x (a0 + a1 x**2 + a2 x**4) / (1 + b1 x**2 + b2 x**4 + b3 x**6) from -6 to 6, fitted so
# that it is at most 7e-6 from it: a thousandth of a step of int8
TANH_NUM = tuple(
    np.float32(c) for c in (0.9999711563322369, 0.1144727688279115, 0.0014955564822588022)
)
TANH_DEN = tuple(
    np.float32(c) for c in (0.44771414092506084, 0.017487422700325637, 5.5186217111248396e-05)
)
TANH_LIMIT = np.float32(6)
LOG_SERIES = tuple(np.float32(2 / n) for n in (1, 3, 5, 7, 9))
LOG_TWO = np.float32(math.log(2))
SQRT_HALF = np.float32(0.5**0.5).view(np.int32)  # its bits
WEIGHT_STEP = 2.0**-30  # of the weights of a draw in int8
# Sums of the products of so many pairs of int8 are below 2**24, and float32 holds them exactly
_EXACT_IN_FLOAT32 = 2**24 // INT8_MAX**2
_LARGEST = 1e30  # of a weight: below it no sum of a network's numbers overflows
F = np.float32
_ZERO, _ONE, _HALF = F(0), F(1), F(0.5)


def fold_quantized(model: TrainedModel) -> FoldedWeights:
    """The rounded weights of a trained model, folded, the same on every machine.

    Raises:
        RunError: they are too large to compute with.
    """
    for weight in model.weights.values():
        if not (np.abs(weight) < _LARGEST).all():
            raise non_finite_scores()
    return fold(quantized(model), _product_of_quantized)


def _product_of_quantized(left: Any, right: Any) -> npt.NDArray[np.float64]:
    """left @ right.T of two matrices with rounded rows: exact but for the last rounding."""
    a, b = quantize_rows(left.astype(F)), quantize_rows(right.astype(F))
    sums: Any = a.int8.astype(np.float64) @ b.int8.T.astype(np.float64)
    return sums * (a.scales[:, None].astype(np.float64) * b.scales)


class Int8Network:
    """A network: a state and a character in, a state out.

    Args:
        folded: of `fold_quantized`.
    """

    def __init__(self, folded: FoldedWeights) -> None:
        self._folded, self._gates = folded, GATES[folded.architecture.kind]
        bounded = not folded.scales
        self._inputs = [Int8Product(weight, bounded) for weight in folded.inputs]
        self._recurrent = [Int8Product(weight, True) for weight in folded.recurrent]
        self._decoder = Int8Product(folded.decoder, bounded)

    def advance(self, ids: Ids, state: State) -> State:
        folded, after = self._folded, list[Any]()
        for layer, carried in enumerate(state):
            if layer == 0:
                z = folded.table[ids]
            else:
                read = self._layer_output(layer - 1, after[-1][0])
                z = folded.biases[layer - 1] + self._inputs[layer - 1](read)
            recurrent = self._recurrent[layer](carried[0])
            bias = folded.hidden_bias[layer] if folded.hidden_bias else None
            after.append(self._gates(z, recurrent, bias, carried))
        return after

    def logits(self, state: State) -> Array:
        top = self._layer_output(len(state) - 1, state[-1][0])
        if self._folded.scales:
            for layer, carried in enumerate(state[:-1]):
                top = top + self._layer_output(layer, carried[0])
        return self._folded.decoder_bias + self._decoder(top)

    def _layer_output(self, layer: int, h: Array) -> Array:
        """What is read of a layer's hidden vectors (N, H)."""
        return h * self._folded.scales[layer] if self._folded.scales else h


class Int8Steps:
    """N streams of a network; see `numpy_engine.Steps`."""

    def __init__(self, network: Int8Network, state: State) -> None:
        self._network, self._state = network, state

    def advance(self, ids: Ids) -> None:
        self._state = self._network.advance(ids, self._state)

    def logits(self) -> Array:
        return self._network.logits(self._state)

    def state(self) -> State:
        return self._state


class Int8Product:
    """What multiplies vectors with a matrix (M, K).

    Args:
        bounded: whether the vectors' numbers lie from -1 to 1, which then are 254 steps; else the
            largest of each vector is 127 steps.
    """

    def __init__(self, weight: Array, bounded: bool) -> None:
        rows = quantize_rows(weight)
        exact = F if weight.shape[1] <= _EXACT_IN_FLOAT32 else np.float64
        self._operand, self._scales = np.ascontiguousarray(rows.int8.T, exact), rows.scales
        self._bounded = bounded

    def __call__(self, x: Array) -> Array:
        """Of x (N, K), the products (N, M)."""
        largest = np.ones((len(x), 1), F) if self._bounded else np.abs(x).max(1, keepdims=True)
        with np.errstate(divide="ignore"):
            inverse = np.where(largest > 0, F(INT8_MAX) / largest, _ZERO)
        sums = np.rint(x * inverse).astype(self._operand.dtype) @ self._operand
        product: Array = sums.astype(F) * (self._scales * (largest / F(INT8_MAX)))
        return product


# What makes of the sums (N, G*H), the recurrent sums, a gru's hidden bias, and what is carried,
# what is carried next. In the order of the gates in `FoldedWeights`.

Carried = tuple[Array, ...]


def _lstm(z: Array, recurrent: Array, hidden_bias: Array | None, carried: Carried) -> Carried:
    i, f, g, o = np.split(z + recurrent, 4, axis=1)
    c = sigmoid(f) * carried[1] + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru(z: Array, recurrent: Array, hidden_bias: Array | None, carried: Carried) -> Carried:
    assert hidden_bias is not None
    (z_r, z_u, z_n), (h_r, h_u, h_n) = np.split(z, 3, axis=1), np.split(recurrent, 3, axis=1)
    n = tanh(z_n + sigmoid(z_r + h_r) * (hidden_bias + h_n))
    return (n + sigmoid(z_u + h_u) * (carried[0] - n),)


def _rnn(z: Array, recurrent: Array, hidden_bias: Array | None, carried: Carried) -> Carried:
    return (tanh(z + recurrent),)


GATES: dict[str, Callable[[Array, Array, Array | None, Carried], Carried]] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn": _rnn,
}


def _power_of_two(power: Array) -> tuple[Array, Array]:
    """2**power as two numbers: 2**n, and what is to be added to it."""
    power = np.minimum(np.maximum(power, -LARGEST_POWER), LARGEST_POWER)
    n = np.floor(power + _HALF)
    f = power - n
    rest = np.full_like(f, POWER_OF_TWO[-1])
    for coefficient in POWER_OF_TWO[-2::-1]:
        rest = coefficient + f * rest
    scale = ((n.astype(np.int32) + np.int32(127)) << np.int32(23)).view(F)
    return scale, scale * (f * rest)


def tanh(x: Array) -> Array:
    """A quotient of two polynomials, 7e-6 from it at most."""
    (a0, a1, a2), (b1, b2, b3) = TANH_NUM, TANH_DEN
    x = x.clip(-TANH_LIMIT, TANH_LIMIT)
    y: Any = x * x
    result: Array = (x * (a0 + y * (a1 + y * a2))) / (_ONE + y * (b1 + y * (b2 + y * b3)))
    return result


def sigmoid(x: Array) -> Array:
    return _HALF + _HALF * tanh(_HALF * x)


def exp(x: Floats, out: Floats) -> None:
    """Of numbers up to 0, in multiples of `WEIGHT_STEP`."""
    scale, rest = _power_of_two(x.astype(F) * LOG2_E)
    np.multiply(np.rint((scale + rest).astype(np.float64) / WEIGHT_STEP), WEIGHT_STEP, out)


def log(x: Array) -> Array:
    """Of numbers above 0: 2 atanh((m - 1) / (m + 1)) + n ln 2, for x = m 2**n, m near 1."""
    bits = x.view(np.int32)
    n = (bits - SQRT_HALF) >> np.int32(23)
    m = (bits - (n << np.int32(23))).view(F)
    s = (m - _ONE) / (m + _ONE)
    square = s * s
    series = np.full_like(s, LOG_SERIES[-1])
    for coefficient in LOG_SERIES[-2::-1]:
        series = coefficient + square * series
    result: Array = n.astype(F) * LOG_TWO + s * series
    return result
