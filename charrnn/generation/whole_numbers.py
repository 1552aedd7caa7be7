"""A network in whole numbers: what ``precision=8`` computes, to the last bit.

The rows of each matrix are whole numbers with a scale (`charrnn.generation.rounding`), and the
vectors that they are multiplied with are rounded likewise. A sum of whole numbers is the same in
any order, so a processor may add them up as it likes. All else is float32 in the order written
here: IEEE 754 says what each operation gives, and exponentials and logarithms are made of these
operations, since a library's differ from one machine to the next. The weights of a draw are
multiples of 2**-30, whose sums in float64 are exact.

This is the definition, in NumPy; the compiled loop gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from charrnn.generation.combined import CombinedEngine
from charrnn.generation.numba_terms import (
    LARGEST_POWER,
    LOG2_E,
    LOG_SERIES,
    LOG_TWO,
    POWER_OF_TWO,
    SQRT_HALF,
    STEPS,
    TANH_ABOVE,
    TANH_BELOW,
    TANH_LIMIT,
    WEIGHT_STEP,
)
from charrnn.generation.numpy_engine import on_one_thread
from charrnn.generation.rounding import in_rows
from charrnn.generation.state import State
from charrnn.generation.token_sampler import Floats, Functions, Ids
from charrnn.generation.weights import Array, Folded

# Sums of the products of so many whole numbers are below 2**24, and float32 holds them exactly
_EXACT_IN_FLOAT32 = 2**24 // STEPS**2
F = np.float32
_ZERO, _ONE, _HALF = F(0), F(1), F(0.5)


class WholeEngine(CombinedEngine):
    """Reads and writes as `NumpyEngine` does, in whole numbers; safe to share between threads.

    Args:
        folded: of `rounding.fold_rounded`.
    """

    def __init__(self, folded: Folded) -> None:
        self.folded, self.vocabulary = folded, folded.vocabulary
        self.functions = WHOLE
        bounded = folded.reads_what_is_carried
        self.inputs = [Product(weight, bounded) for weight in folded.inputs]
        self.recurrent = [Product(weight, True) for weight in folded.recurrent]
        self.decoder = Product(folded.decoder, bounded)

    def steps(self, state: State) -> _Steps:
        return _Steps(self, state)

    @on_one_thread
    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """As `NumpyEngine.read`."""
        steps = self.steps(state)
        logits = np.empty((*ids.shape, len(self.vocabulary)), F)
        with np.errstate(all="ignore"):
            for t in range(ids.shape[1]):
                steps.take_in(ids[:, t])
                logits[:, t] = steps.scores()
        return logits, steps.state()


class Product:
    """What multiplies vectors with a matrix (M, K).

    Args:
        bounded: whether the vectors' numbers lie from -1 to 1, which then are 254 steps; else the
            largest of each vector is 127 steps.
    """

    def __init__(self, weight: Array, bounded: bool) -> None:
        whole, self._scales = in_rows(weight)
        exact = F if weight.shape[1] <= _EXACT_IN_FLOAT32 else np.float64
        self._operand = np.ascontiguousarray(whole.T, exact)
        self._bounded = bounded

    def __call__(self, x: Array) -> Array:
        """Of x (N, K), the products (N, M)."""
        largest = np.ones((len(x), 1), F) if self._bounded else np.abs(x).max(1, keepdims=True)
        with np.errstate(divide="ignore"):
            inverse = np.where(largest > 0, F(STEPS) / largest, _ZERO)
        sums = np.rint(x * inverse).astype(self._operand.dtype) @ self._operand
        product: Array = sums.astype(F) * (self._scales * (largest / F(STEPS)))
        return product


class _Steps:
    """N streams in whole numbers."""

    def __init__(self, engine: WholeEngine, state: State) -> None:
        self._engine = engine
        self._gates = GATES[engine.folded.architecture.kind]
        self._carried = [tuple(np.array(vectors, F) for vectors in layer) for layer in state]
        self._top = self._carried[-1][0]

    def take_in(self, ids: Ids) -> None:
        """Step each stream over one character (N,)."""
        engine, folded = self._engine, self._engine.folded
        outputs: list[Array] = []
        for layer, carried in enumerate(self._carried):
            if layer == 0:
                z = folded.table[ids]
            else:
                z = folded.biases[layer - 1] + engine.inputs[layer - 1](outputs[-1])
            own = engine.recurrent[layer](carried[0])
            own_bias = folded.own_biases[layer] if folded.own_biases else None
            self._carried[layer] = self._gates(z, own, own_bias, carried)
            output = self._carried[layer][0]
            outputs.append(output * folded.scales[layer] if folded.scales else output)
        self._top = outputs[-1]
        if folded.architecture.skip == "sum":
            for output in outputs[:-1]:
                self._top = self._top + output

    def scores(self) -> Array:
        return self._engine.folded.decoder_bias + self._engine.decoder(self._top)

    def state(self) -> State:
        return list(self._carried)


def _total(vectors: Array) -> Array:
    """The sums (N, 1) of vectors (N, H), from left to right."""
    total: Array = np.add.accumulate(vectors, 1)[:, -1:]
    return total


# What makes of the sums (N, G*H), the layer's own sums with their bias where the cell keeps them
# apart, and what is carried, what is carried next. In the order of the gates in `Folded`.

Carried = tuple[Array, ...]


def _lstm(z: Array, own: Array, own_bias: Array | None, carried: Carried) -> Carried:
    i, f, g, o = np.split(z + own, 4, axis=1)
    c = sigmoid(f) * carried[1] + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru(z: Array, own: Array, own_bias: Array | None, carried: Carried) -> Carried:
    assert own_bias is not None
    (z_r, z_u, z_n), (own_r, own_u, own_n) = np.split(z, 3, axis=1), np.split(own, 3, axis=1)
    n = tanh(z_n + sigmoid(z_r + own_r) * (own_bias + own_n))
    return (n + sigmoid(z_u + own_u) * (carried[0] - n),)


def _rnn(z: Array, own: Array, own_bias: Array | None, carried: Carried) -> Carried:
    return (tanh(z + own),)


# The cells that can be stepped in whole numbers
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
    (a0, a1, a2), (b1, b2, b3) = TANH_ABOVE, TANH_BELOW
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


WHOLE = Functions(exp, log)
