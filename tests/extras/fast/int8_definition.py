"""What `precision=8` computes, to the last bit: a network in int8, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from charrnn.extras.fast.fast_engines import fold_quantized
from charrnn.extras.fast.numba_loop import (
    LARGEST_POWER,
    LOG2_E,
    LOG_SERIES,
    LOG_TWO,
    POWER_OF_TWO,
    SQRT_HALF,
    TANH_DEN,
    TANH_LIMIT,
    TANH_NUM,
    WEIGHT_STEP,
)
from charrnn.generation.numpy_engine import State
from charrnn.generation.token_sampler import Batch, Floats, Ids, likeliest_first, top_k_and_p
from charrnn.generation.weights import INT8_MAX, Array, FoldedWeights, quantize_rows
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams

# Sums of the products of so many pairs of int8 are below 2**24, and float32 holds them exactly
_EXACT_IN_FLOAT32 = 2**24 // INT8_MAX**2
F = np.float32
_ZERO, _ONE, _HALF = F(0), F(1), F(0.5)


class Int8Writer:
    """Reads and writes as `NumpyEngine` does, each stream by itself."""

    def __init__(self, model: TrainedModel) -> None:
        self._network, self._counts = Int8Network(fold_quantized(model)), model.counts
        self._vocabulary, self._layers = model.vocabulary, model.architecture.num_layers

    def advance(self, ids: Ids, state: State) -> State:
        for each in ids.T:
            state = self._after(each, state)
        return state

    def _after(self, ids: Ids, state: State) -> State:
        carried = state[: self._layers]
        if self._counts is None or self._counts.needs_network:
            carried = self._network.advance(ids, carried)
        if self._counts is None:
            return carried
        nodes = self._counts.table.zero_state(len(ids))
        for row, id_, before in zip(nodes, ids.tolist(), state[-1][0], strict=True):
            after = self._counts.table.after_one(id_, before[: np.count_nonzero(before)].tolist())
            row[: len(after)] = after
        return [*carried, (nodes,)]

    def _logits(self, state: State) -> Array:
        logits = self._network.logits(state[: self._layers])
        if self._counts is None:
            return logits
        nodes = [row[: np.count_nonzero(row)].tolist() for row in state[-1][0]]
        p = np.array([self._counts.table.predicted_one(each) for each in nodes])
        of_network, of_counts = self._counts.by_length[[len(each) for each in nodes]].T[..., None]
        scores: Array = of_counts * log(p)
        return scores + of_network * logits if self._counts.needs_network else scores

    def write(
        self, ids: Ids, state: State, uniforms: Floats, each: Sequence[SamplingParams]
    ) -> tuple[Ids, State]:
        batch, written = Batch(each, len(ids), self._vocabulary), np.empty(uniforms.shape, np.int64)
        for t, draws in enumerate(uniforms.T):
            state = self._after(ids, state)
            logits = self._logits(state)
            scores = (logits if batch.bias is None else logits + batch.bias).astype(np.float64)
            weights = np.empty_like(scores)
            exp((scores - scores.max(1, keepdims=True)) * batch.scale, weights)
            order, (top_k, top_p, min_p) = likeliest_first(scores), np.split(batch.limits, 3, 1)
            ranked = top_k_and_p(np.take_along_axis(weights, order, 1), top_k, top_p)
            np.put_along_axis(weights, order, ranked, 1)
            sums = (weights * (weights >= min_p)).cumsum(1)
            drawn = (sums <= draws[:, None] * sums[:, -1:]).sum(1)
            written[:, t] = ids = np.where(batch.greedy, scores.argmax(1), drawn)
        return written, state


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
