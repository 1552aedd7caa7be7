"""The compiled loop itself; `numba_engine` calls it.

It is compiled for float32, and for whole numbers (``precision=8``): what differs stands in the
functions that are chosen by the type of the weights. In whole numbers each operation is done as
it is written, so that the text is that of `whole_numbers`, the definition, to the last bit; for
float32 the compiler is free to add up in several lanes.

A whole chunk of characters is one call, which holds no Python lock. What limits one stream is
the reading of the weights, from a core's own cache as a rule; four streams read them once. The
gates' functions are written out, since a library's would be called one number at a time.

Everything compiled stands in this one file: numba's cache looks at its date only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable

from charrnn.generation.numba_terms import (
    KERNELS,
    LARGEST_POWER,
    LOG2_E,
    LOG_SERIES,
    LOG_TWO,
    POWER_OF_TWO,
    SKIPS,
    SQRT_HALF,
    STEPS,
    TOGETHER,
    WEIGHT_STEP,
)
from charrnn.models.trained import LAYERNORM_EPS

# a compiled function keeps the value that a global had when it was compiled
_LSTM, _CAPPED, _GRU = KERNELS["lstm"], KERNELS["capped_lstm"], KERNELS["gru"]
_NO_SKIP, _RESIDUAL, _SUM = SKIPS["none"], SKIPS["residual"], SKIPS["sum"]

# contract: a product and a sum as one instruction; reassoc: a sum in several lanes.
# Nothing here lets the compiler forget that there are NaNs.
_FASTMATH = {"contract", "reassoc", "nsz"}

F = np.float32
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# compiled with what calls it, and by its rules of arithmetic
_compiled = register_jitable


def _cached(fastmath: set[str] | bool) -> Callable[[Callable[..., Any]], Any]:
    """Compiled, with all that it calls, and kept for the next process where there is room."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, fastmath=fastmath, **_OPTIONS)(function)
        except RuntimeError:  # "no locator available": no folder for the cache can be written
            return numba.njit(fastmath=fastmath, **_OPTIONS)(function)

    return decorate


_Q0, _Q1, _Q2, _Q3, _Q4, _Q5 = POWER_OF_TWO
_L0, _L1, _L2, _L3, _L4 = LOG_SERIES
_ONE, _TWO, _HALF = F(1), F(2), F(0.5)
_EPS = F(LAYERNORM_EPS)
_STEPS = F(STEPS)


@_compiled
def _power_of_two(power):  # type: ignore[no-untyped-def]
    """2**power as two numbers: 2**n, and what is to be added to it."""
    power = min(max(power, -LARGEST_POWER), LARGEST_POWER)
    whole = np.floor(power + _HALF)
    f = power - whole
    rest = f * (_Q0 + f * (_Q1 + f * (_Q2 + f * (_Q3 + f * (_Q4 + f * _Q5)))))
    scale = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return scale, scale * rest


@_compiled
def _tanh(x):  # type: ignore[no-untyped-def]
    """(e - 1) / (e + 1) for e = exp(2 x), with e - 1 formed so that small x lose nothing."""
    scale, rest = _power_of_two(_TWO * LOG2_E * x)
    return ((scale - _ONE) + rest) / ((scale + _ONE) + rest)


@_compiled
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return _HALF + _HALF * _tanh(_HALF * x)


def add_products(weights, layer, xs, zs, room):  # type: ignore[no-untyped-def]
    """zs += xs @ weights[layer].T, for (B, K) and (B, M); B is at most 4.

    Args:
        weights: of all layers: (L, M, K), or what `numba_engine.in_whole_numbers` makes of it.
        room: whole numbers to work in, for x and for the sums.
    """
    raise NotImplementedError


@overload(add_products)
def _add_products(weights, layer, xs, zs, room):  # type: ignore[no-untyped-def]
    if isinstance(weights, types.Array):
        return _add_float_products
    return _add_whole_products


@_compiled
def _add_float_products(weights, layer, xs, zs, room):  # type: ignore[no-untyped-def]
    weight = weights[layer]
    if len(xs) == TOGETHER:
        _add_four(weight, xs, zs)
    else:
        for b in range(len(xs)):
            _add_product(weight, xs[b], zs[b])


@_compiled
def _add_product(weight, x, z):  # type: ignore[no-untyped-def]
    """z += weight @ x, for (M, K), (K,) and (M,)."""
    for m in range(weight.shape[0]):
        total = F(0)
        for k in range(weight.shape[1]):
            total += weight[m, k] * x[k]
        z[m] += total


@_compiled
def _add_four(weight, xs, zs):  # type: ignore[no-untyped-def]
    """zs += xs @ weight.T, for (M, K), (4, K) and (4, M).

    Two rows of weights go through the four together: eight sums share what is read for them.
    """
    M, K = weight.shape
    x0, x1, x2, x3 = xs[0], xs[1], xs[2], xs[3]
    z0, z1, z2, z3 = zs[0], zs[1], zs[2], zs[3]
    for m in range(0, M - 1, 2):
        p0, p1, p2, p3 = F(0), F(0), F(0), F(0)
        q0, q1, q2, q3 = F(0), F(0), F(0), F(0)
        for k in range(K):
            p, q = weight[m, k], weight[m + 1, k]
            p0 += p * x0[k]
            p1 += p * x1[k]
            p2 += p * x2[k]
            p3 += p * x3[k]
            q0 += q * x0[k]
            q1 += q * x1[k]
            q2 += q * x2[k]
            q3 += q * x3[k]
        z0[m] += p0
        z1[m] += p1
        z2[m] += p2
        z3[m] += p3
        z0[m + 1] += q0
        z1[m + 1] += q1
        z2[m + 1] += q2
        z3[m + 1] += q3
    if M % 2:
        for b in range(4):
            _add_product(weight[M - 1 :], xs[b], zs[b, M - 1 :])


@_compiled
def _add_whole_products(weights, layer, xs, zs, room):  # type: ignore[no-untyped-def]
    """See `whole_numbers.Product`, which gives the same bits."""
    packed, scales, starts, bounded = weights
    wholes, sums = room
    B, M = zs.shape
    scale, start = scales[layer], starts[layer]
    together = B if B == TOGETHER else 1
    for first in range(0, B, together):
        for b in range(together):
            _in_whole_numbers(xs[first + b], bounded, wholes[b])
        dot(packed[layer], wholes[:together], sums)
        for b in range(together):
            z, total, step = zs[first + b], sums[b], _step_of(xs[first + b], bounded)
            for m in range(M):
                z[m] += F(np.int32(total[m] + start[m])) * (scale[m] * step)


@_compiled
def _largest(x):  # type: ignore[no-untyped-def]
    largest = F(0)
    for k in range(len(x)):
        largest = max(largest, abs(x[k]))
    return largest


@_compiled
def _step_of(x, bounded):  # type: ignore[no-untyped-def]
    """What a whole number of x (K,) is."""
    return _ONE / _STEPS if bounded else _largest(x) / _STEPS


@_compiled
def _in_whole_numbers(x, bounded, whole):  # type: ignore[no-untyped-def]
    """x (K,) as whole numbers from -127 to 127, and 128 more: bytes without a sign."""
    largest = _ONE if bounded else _largest(x)
    inverse = _STEPS / largest if largest > F(0) else F(0)
    for k in range(len(x)):
        whole[k] = np.uint8(np.int32(np.rint(x[k] * inverse)) + np.int32(128))


def dot(packed, wholes, sums):  # type: ignore[no-untyped-def]
    """sums (B, M) = the products of bytes (B, K) and packed rows, whole numbers; B is 1 or 4."""
    raise NotImplementedError


@overload(dot)
def _dot(packed, wholes, sums):  # type: ignore[no-untyped-def]
    if packed.ndim == 2:
        return _dot_anywhere

    def dot_by_vnni(packed, wholes, sums):  # type: ignore[no-untyped-def]
        if len(wholes) == TOGETHER:
            _four_by_vnni(packed, wholes, sums)
        else:
            _one_by_vnni(packed, wholes, sums)

    return dot_by_vnni


@_compiled
def _dot_anywhere(packed, wholes, sums):  # type: ignore[no-untyped-def]
    """For rows (M, K) as they are."""
    M, K = packed.shape
    for m in range(M):
        row = packed[m]
        for b in range(len(wholes)):
            whole, total = wholes[b], np.int32(0)
            for k in range(K):
                total = np.int32(total + np.int32(np.int32(row[k]) * np.int32(whole[k])))
            sums[b, m] = total


def _by_vnni(streams: int) -> Any:
    """What multiplies rows packed as (M/16, K/4, 16, 4) by AVX-512 VNNI.

    An instruction multiplies 4 neighbours of 16 rows with 4 bytes of a vector, and adds them to 16
    sums. Four of them are under way at the same time, since each takes four cycles: those of four
    streams, or of one stream four parts, so that K/4 is a multiple of four.
    """
    i32, i64 = ir.IntType(32), ir.IntType(64)
    vector = ir.VectorType(i32, 16)
    name = "llvm.x86.avx512.vpdpbusd.512"
    parts = TOGETHER // streams

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def whole(number: int) -> Any:
            return ir.Constant(i64, number)

        packed, wholes, sums = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, values, strict=True)
        )
        instruction = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(vector, [vector] * 3), name
        )
        blocks, fours = (builder.extract_value(packed.shape, axis) for axis in (0, 1))
        rows_of_wholes, rows_of_sums = (
            builder.extract_value(array.strides, 0) for array in (wholes, sums)
        )
        weights, x, out = (builder.ptrtoint(array.data, i64) for array in (packed, wholes, sums))

        def load(kind: Any, address: Any) -> Any:
            loaded = builder.load(builder.inttoptr(address, kind.as_pointer()))
            loaded.align = 1
            return loaded

        with cgutils.for_range(builder, blocks, intp=i64) as block:
            begin = builder.add(weights, builder.mul(block.index, builder.mul(fours, whole(64))))
            totals = [cgutils.alloca_once(builder, vector) for _ in range(TOGETHER)]
            for total in totals:
                builder.store(ir.Constant(vector, [0] * 16), total)
            steps = builder.udiv(fours, whole(parts))
            with cgutils.for_range(builder, steps, intp=i64) as loop:
                for part in range(parts):
                    at = builder.add(builder.mul(loop.index, whole(parts)), whole(part))
                    rows = load(vector, builder.add(begin, builder.mul(at, whole(64))))
                    for stream in range(streams):
                        place = builder.add(x, builder.mul(rows_of_wholes, whole(stream)))
                        four = load(i32, builder.add(place, builder.mul(at, whole(4))))
                        same = builder.insert_element(
                            ir.Constant(vector, ir.Undefined), four, ir.Constant(i32, 0)
                        )
                        same = builder.shuffle_vector(same, same, ir.Constant(vector, [0] * 16))
                        total = totals[stream * parts + part]
                        builder.store(
                            builder.call(instruction, [builder.load(total), same, rows]), total
                        )
            for stream in range(streams):
                added = builder.load(totals[stream * parts])
                for part in range(1, parts):
                    added = builder.add(added, builder.load(totals[stream * parts + part]))
                place = builder.add(out, builder.mul(rows_of_sums, whole(stream)))
                place = builder.add(place, builder.mul(block.index, whole(64)))
                builder.store(added, builder.inttoptr(place, vector.as_pointer())).align = 1
        return context.get_dummy_value()

    def typed(typing: Any, packed: Any, wholes: Any, sums: Any) -> Any:
        return types.void(packed, wholes, sums), emit

    return intrinsic(typed)


_one_by_vnni, _four_by_vnni = _by_vnni(1), _by_vnni(TOGETHER)


@_compiled
def step(  # type: ignore[no-untyped-def]
    kind,
    table,
    ids,
    inputs,
    recurrent,
    biases,
    own_biases,
    layernorm,
    skip,
    scales,
    hidden,
    cell,
    outputs,
    z,
    own,
    room,
):
    """Step B streams over a character each.

    Args:
        table: (V, G*H), ids: (B,).
        inputs, biases: weights (L, G*H, H) and (L, G*H); those of the first layer are not read.
        recurrent: weights (L, G*H, H), as `add_products` takes them.
        own_biases: (L, H), those that a gru's r multiplies.
        layernorm, skip: whether and how what is read of a layer is more than its hidden vector.
        scales: (L, H), what is then multiplied with what is read.
        hidden, cell: (L, B, H), changed in place; the cell is an lstm's, capped or not.
        outputs: (L, B, H), what is read of each layer, and of the last by the decoder; the same as
            `hidden` where that is what is read.
        z, own, room: (B, G*H), and as for `add_products`, room to work in.
    """
    L, B, H = hidden.shape
    for layer in range(L):
        for b in range(B):
            z[b] = table[ids[b]] if layer == 0 else biases[layer]
        if layer > 0:
            add_products(inputs, layer, outputs[layer - 1], z, room)
        if kind == _GRU:
            for b in range(B):
                own[b, : 2 * H] = F(0)
                own[b, 2 * H :] = own_biases[layer]
            add_products(recurrent, layer, hidden[layer], own, room)
        else:
            add_products(recurrent, layer, hidden[layer], z, room)
        for b in range(B):
            _gates(kind, z[b], own[b], hidden[layer, b], cell[layer, b])
            if layernorm or skip != _NO_SKIP:
                _put_out(layernorm, scales[layer], hidden[layer, b], outputs[layer, b])
            if skip == _RESIDUAL and layer > 0:
                outputs[layer, b] += outputs[layer - 1, b]
    if skip == _SUM:
        for layer in range(L - 1):
            outputs[L - 1] += outputs[layer]


@_compiled
def _gates(kind, z, own, h, c):  # type: ignore[no-untyped-def]
    """The new hidden vector (H,), and an lstm's cell, from the sums (G*H,)."""
    H = len(h)
    if kind in (_LSTM, _CAPPED):
        for j in range(H):
            i, f = _sigmoid(z[j]), _sigmoid(z[H + j])
            if kind == _CAPPED:
                i = min(i, _ONE - f)
            c[j] = f * c[j] + i * _tanh(z[2 * H + j])
            h[j] = _sigmoid(z[3 * H + j]) * _tanh(c[j])
    elif kind == _GRU:
        for j in range(H):
            r = _sigmoid(z[j] + own[j])
            u = _sigmoid(z[H + j] + own[H + j])
            n = _tanh(z[2 * H + j] + r * own[2 * H + j])
            h[j] = n + u * (h[j] - n)
    else:
        for j in range(H):
            h[j] = _tanh(z[j])


@_compiled
def _put_out(layernorm, scale, h, output):  # type: ignore[no-untyped-def]
    """What is read of a layer's hidden vector (H,), before anything is added to it."""
    H = len(h)
    mean, squares, deviation = F(0), F(0), _ONE
    if layernorm:
        for j in range(H):
            mean += h[j]
        mean /= F(H)
        for j in range(H):
            squares += (h[j] - mean) * (h[j] - mean)
        deviation = np.sqrt(squares / F(H) + _EPS)
    for j in range(H):
        output[j] = (h[j] - mean) / deviation * scale[j]


@_compiled
def _before(a, b, logits):  # type: ignore[no-untyped-def]
    """Whether id `a` counts as likelier than `b`."""
    return logits[a] > logits[b] or (logits[a] == logits[b] and a < b)


@_compiled
def _sink(heap, size, logits, place):  # type: ignore[no-untyped-def]
    """Let the id at `place` sink in a heap of ids whose top is the likeliest."""
    moving = heap[place]
    child = 2 * place + 1
    while child < size:
        if child + 1 < size and _before(heap[child + 1], heap[child], logits):
            child += 1
        if not _before(heap[child], moving, logits):
            break
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    heap[place] = moving


@_compiled
def _restrict(logits, weights, ranked, heap, top_k, top_p):  # type: ignore[no-untyped-def]
    """Set to 0 the weights (V,) that top_k and top_p leave out (see `generation.filters`).

    A heap ranks only as many as stay, which are few as a rule. `ranked` and `heap` are
    room (V,) for ids.
    """
    size = len(weights)
    total = 0.0
    for v in range(size):
        heap[v] = v
        total += weights[v]
    for place in range(size // 2 - 1, -1, -1):
        _sink(heap, size, logits, place)
    limit = size if top_k >= size else int(top_k)
    if top_p >= 1:  # leaves nothing out, whatever the sums are rounded to
        top_p = np.inf
    # all that top_k leaves have to be ranked before it is known what top_p is a part of
    enough = top_p * total if limit == size else np.inf
    count, reached = 0, 0.0
    while count < limit and reached < enough:
        ranked[count] = heap[0]
        reached += weights[heap[0]]
        count += 1
        heap[0] = heap[size - count]
        _sink(heap, size - count, logits, 0)
    if limit < size:
        enough, count, reached = top_p * reached, 0, 0.0
        while count < limit and reached < enough:
            reached += weights[ranked[count]]
            count += 1
    for rank in range(count):
        # marked by its sign: a weight is never negative
        weights[ranked[rank]] = -weights[ranked[rank]]
    for v in range(size):
        weights[v] = max(-weights[v], 0.0)


def exponential(decoder, x):  # type: ignore[no-untyped-def]
    """That of a number up to 0, by the type of the network's weights."""
    raise NotImplementedError


def logarithm(decoder, x):  # type: ignore[no-untyped-def]
    raise NotImplementedError


@overload(exponential)
def _exponential(decoder, x):  # type: ignore[no-untyped-def]
    if isinstance(decoder, types.Array):
        return lambda decoder, x: math.exp(x)
    return _whole_exponential


@overload(logarithm)
def _logarithm(decoder, x):  # type: ignore[no-untyped-def]
    if isinstance(decoder, types.Array):
        return lambda decoder, x: F(math.log(x))
    return _fixed_logarithm


@_compiled
def _whole_exponential(decoder, x):  # type: ignore[no-untyped-def]
    """As `whole_numbers.exp`."""
    scale, rest = _power_of_two(F(x) * LOG2_E)
    return np.rint(np.float64(scale + rest) / WEIGHT_STEP) * WEIGHT_STEP


@_compiled
def _fixed_logarithm(decoder, x):  # type: ignore[no-untyped-def]
    """As `whole_numbers.log`."""
    bits = F(x).view(np.int32)
    n = np.int32(np.int32(bits - SQRT_HALF) >> np.int32(23))
    m = np.int32(bits - np.int32(n << np.int32(23))).view(np.float32)
    s = (m - _ONE) / (m + _ONE)
    square = s * s
    series = _L0 + square * (_L1 + square * (_L2 + square * (_L3 + square * _L4)))
    return F(n) * LOG_TWO + s * series


@_compiled
def draw(  # type: ignore[no-untyped-def]
    decoder, logits, weights, ranked, heap, uniform, greedy, scale, limits
):
    """The id drawn, as `TokenSampler` does; -1 when the logits are not numbers."""
    likeliest = 0
    for v in range(len(logits)):
        if logits[v] > logits[likeliest] or logits[v] != logits[v]:
            likeliest = v
    highest = np.float64(logits[likeliest])
    if not -np.inf < highest < np.inf:
        return -1
    if greedy:
        return likeliest
    total = 0.0
    for v in range(len(logits)):
        weights[v] = exponential(decoder, (np.float64(logits[v]) - highest) * scale)
    top_k, top_p, min_p = limits
    if top_k < len(logits) or top_p < 1:
        _restrict(logits, weights, ranked, heap, top_k, top_p)
    for v in range(len(logits)):
        if weights[v] >= min_p:
            total += weights[v]
        weights[v] = total
    limit = uniform * total
    for v in range(len(logits)):
        if weights[v] > limit:
            return v
    return -1


@_compiled
def _walk(counts, nodes, id_):  # type: ignore[no-untyped-def]
    """Make of the contexts (K,) of one stream those after a character; as `counts.Walk.after`."""
    characters, starts, _, _, _, _ = counts
    shorter = 0
    for k in range(len(nodes)):
        first, end = starts[shorter], starts[shorter + 1]
        last = end
        while first < last:
            middle = (first + last) // 2
            if characters[middle] < id_:
                first = middle + 1
            else:
                last = middle
        shorter = nodes[k]
        nodes[k] = first if first < end and characters[first] == id_ else 0
        if nodes[k] == 0 or shorter == 0:
            nodes[k + 1 :] = 0
            break


@_compiled
def _predict(counts, nodes, p):  # type: ignore[no-untyped-def]
    """Fill p (V,) with what counts predict after the contexts (K,)."""
    characters, starts, numbers, dropped, discounts, _ = counts
    p[:] = F(1) / F(len(p))
    node = 0
    for k in range(len(nodes) + 1):
        first, end = starts[node], starts[node + 1]
        if first < end:
            total, taken = np.float64(dropped[node]), np.float64(dropped[node])
            ones, twos, more = 0, 0, 0
            for child in range(first, end):
                total += numbers[child]
                ones += numbers[child] == 1
                twos += numbers[child] == 2
                more += numbers[child] > 2
            taken += discounts[k, 0] * ones
            taken += discounts[k, 1] * twos
            taken += discounts[k, 2] * more
            left = F(taken / total)
            for v in range(len(p)):
                p[v] *= left
            for child in range(first, end):
                mass = numbers[child] - discounts[k, min(numbers[child], 3) - 1]
                p[characters[child]] += F(max(mass, 0.0) / total)
        if k < len(nodes):
            node = nodes[k]
            if node == 0:
                break


@_compiled
def _mix(decoder, counts, nodes, bias, p, logits):  # type: ignore[no-untyped-def]
    """Make of a network's logits (V,) those of the mix: as `charrnn.counts.mixing.mixed`.

    Args:
        bias: (V,), minus infinity for what is never written.
        p: room (V,).
    """
    weights = counts[-1]
    _predict(counts, nodes, p)
    for v in range(len(p)):
        if bias[v] == -np.inf:
            logits[v] = -np.inf
        else:
            score = weights[1] * logarithm(decoder, p[v])
            if weights[0] != F(0):
                score += weights[0] * logits[v]
            logits[v] = score


@_compiled
def _write_some(  # type: ignore[no-untyped-def]
    kind, table, inputs, recurrent, biases, own_biases, layernorm, skip, scales, decoder,
    decoder_bias, counts, hidden, cell, nodes, ids, uniforms, greedy, scale, limits, needed,
    written, room,
):  # fmt: skip
    """As `write`, for streams that go through the weights together."""
    B, T = len(ids), needed.max()
    V = decoder_bias.shape[1]
    z, own = np.empty((B, table.shape[1]), np.float32), np.empty((B, table.shape[1]), np.float32)
    outputs = np.empty_like(hidden) if layernorm or skip != _NO_SKIP else hidden
    logits, weights = np.empty((B, V), np.float32), np.empty(V, np.float64)
    ranked, heap = np.empty(V, np.int64), np.empty(V, np.int64)
    counted, predicted = nodes.shape[1] > 0, np.empty(V, np.float32)
    has_a_say = not counted or counts[-1][0] != F(0)
    for t in range(T):
        if has_a_say:
            step(
                kind, table, ids, inputs, recurrent, biases, own_biases, layernorm, skip, scales,
                hidden, cell, outputs, z, own, room,
            )  # fmt: skip
            for b in range(B):
                logits[b] = decoder_bias[b]
            add_products(decoder, 0, outputs[-1], logits, room)
        if counted:
            for b in range(B):
                _walk(counts, nodes[b], ids[b])
                _mix(decoder, counts, nodes[b], decoder_bias[b], predicted, logits[b])
        for b in range(B):
            ids[b] = draw(
                decoder, logits[b], weights, ranked, heap, uniforms[b, t], greedy[b], scale[b],
                limits[b],
            )  # fmt: skip
            if ids[b] < 0:
                return False
            written[b, t] = ids[b]
    return True


@_compiled
def _write(  # type: ignore[no-untyped-def]
    kind, table, inputs, recurrent, biases, own_biases, layernorm, skip, scales, decoder,
    decoder_bias, counts, hidden, cell, nodes, ids, uniforms, greedy, scale, limits, needed,
    written, room,
):  # fmt: skip
    """Write `written` (B, T) after `ids` (B,), which become the last that were written.

    Args:
        decoder_bias: (B, V), minus infinity for what a stream never writes.
        counts: the characters, starts, counts, dropped and discounts of a `CountTable`, and the
            weights (2,) of network and counts.
        nodes: (B, K), the state of the counts, which becomes that after the last character; K is
            0 where there are none.
        hidden, cell: (L, B, H), which become those after the last character that was taken in.
        greedy, scale: (B,), as `token_sampler.Batch` has them.
        limits: (B, F), the filters' values, as `numba_engine.compiled_limits` has them.
        needed: (B,), how many of the T characters each stream needs.
        room: for `add_products`: bytes (4, K) and int32 (4, M), as the largest weights need them.

    Returns False when the logits are not numbers.
    """
    for b in range(0, len(ids), TOGETHER):
        e = min(b + TOGETHER, len(ids))
        own_hidden, own_cell = hidden[:, b:e].copy(), cell[:, b:e].copy()
        if not _write_some(
            kind, table, inputs, recurrent, biases, own_biases, layernorm, skip, scales, decoder,
            decoder_bias[b:e], counts, own_hidden, own_cell, nodes[b:e], ids[b:e],
            uniforms[b:e], greedy[b:e], scale[b:e], limits[b:e], needed[b:e], written[b:e], room,
        ):  # fmt: skip
            return False
        cell[:, b:e] = own_cell
        hidden[:, b:e] = own_hidden  # last: without a cell's state both are the same array
    return True


@_cached(_FASTMATH)
def write(*arguments):  # type: ignore[no-untyped-def]
    return _write(*arguments)


@_cached(False)
def write_in_whole_numbers(*arguments):  # type: ignore[no-untyped-def]
    return _write(*arguments)
