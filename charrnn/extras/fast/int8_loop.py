"""A network in int8 and the draw as one compiled loop; `fast_engines` calls it.

Each operation is done as it is written, so that a text is the same on every machine. The rows of
each matrix are int8 with a scale (`charrnn.generation.int8_rows`), and the vectors that they are
multiplied with are rounded likewise. A sum of whole numbers is the same in any order. Everything
else is float32, for which IEEE 754 defines the result of each operation. Exponentials and
logarithms are made of these operations, because those of a library differ between machines. The
weights of a draw are multiples of 2**-30, whose sums in float64 are exact.

A whole chunk of characters is one call, which holds no Python lock. The speed of one stream is
limited by the reading of the weights, as a rule from a core's own cache; four streams read them
once.

Everything compiled is in this one file, because numba's cache looks at its date only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable

from charrnn.generation.int8_rows import INT8_MAX


class Network(NamedTuple):
    """The weights of a network with L layers, as the loop multiplies them.

    Attributes:
        kind: of `KERNELS`.
        table: (V, G*H), what the first layer reads of each character.
        inputs, recurrent: (L, G*H, H); the inputs of the first layer are not read.
        decoder: (1, V, H). Matrices are int8, or `fast_engines.pack_for_vnni`.
        row_scales: (2 L + 1, M), those of the rows of inputs, of recurrent weights and of the
            decoder.
        biases: (L, G*H), those of the first layer are not read; decoder_bias: (V,).
        hidden_bias: (L, H), those that a gru's r multiplies.
        skip_sum: whether the decoder reads the sum of all layers' outputs.
        output_scales: (L, H), what is then multiplied with what is read.
    """

    kind: int
    table: Any
    inputs: Any
    recurrent: Any
    decoder: Any
    row_scales: Any
    biases: Any
    decoder_bias: Any
    hidden_bias: Any
    skip_sum: bool
    output_scales: Any


KERNELS = {"lstm": 0, "gru": 1, "rnn": 2}  # what each cell is called here
TOGETHER = 4  # streams that go through the weights together
# a compiled function keeps the value that a global had when it was compiled
_LSTM, _GRU = KERNELS["lstm"], KERNELS["gru"]

F = np.float32
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# compiled with what calls it
_compiled = register_jitable
# and put in its place: a call counts the references to each array that it is given
_INLINE: Any = {"forceinline": True}
_inlined = register_jitable(**_INLINE)


def keep_compiled(function: Callable[..., Any]) -> Any:
    """Compile a function with all that it calls, and keep it for the next process if possible."""
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # "no locator available": no folder for the cache can be written
        return numba.njit(**_OPTIONS)(function)


# 2**f = 1 + f * q(f) for f in [-0.5, 0.5], q fitted at Chebyshev points, the lowest power first
POWER_OF_TWO = tuple(
    F(c)
    for c in (
        0.6931471880293426,
        0.24022650922342706,
        0.055503571042531036,
        0.009618056669891782,
        0.001339086735134184,
        0.00015461447461418272,
    )
)
LOG2_E = F(math.log2(math.e))
LARGEST_POWER = F(100)  # of two: where tanh and sigmoid have long reached their limit
# int8's tanh(x) = x (a0 + a1 x**2 + a2 x**4) / (1 + b1 x**2 + b2 x**4 + b3 x**6) from -6 to 6,
# fitted so that it is at most 7e-6 from it: a thousandth of a step of int8
TANH_NUM = tuple(F(c) for c in (0.9999711563322369, 0.1144727688279115, 0.0014955564822588022))
TANH_DEN = tuple(F(c) for c in (0.44771414092506084, 0.017487422700325637, 5.5186217111248396e-05))
TANH_LIMIT = F(6)
LOG_SERIES = tuple(F(2 / n) for n in (1, 3, 5, 7, 9))
LOG_TWO = F(math.log(2))
SQRT_HALF = F(0.5**0.5).view(np.int32)  # its bits
WEIGHT_STEP = 2.0**-30  # of the weights of a draw in int8
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5 = POWER_OF_TWO
_L0, _L1, _L2, _L3, _L4 = LOG_SERIES
_A0, _A1, _A2 = TANH_NUM
_B1, _B2, _B3 = TANH_DEN
_ONE, _TWO, _HALF = F(1), F(2), F(0.5)
_INT8_MAX = F(INT8_MAX)


@_inlined
def _power_of_two(power):  # type: ignore[no-untyped-def]
    """2**power as two numbers: 2**n, and what is to be added to it."""
    power = min(max(power, -LARGEST_POWER), LARGEST_POWER)
    integer = np.floor(power + _HALF)
    f = power - integer
    rest = f * (_Q0 + f * (_Q1 + f * (_Q2 + f * (_Q3 + f * (_Q4 + f * _Q5)))))
    scale = np.int32((np.int32(integer) + np.int32(127)) << np.int32(23)).view(np.float32)
    return scale, scale * rest


@_inlined
def tanh(x):  # type: ignore[no-untyped-def]
    """A quotient of two polynomials."""
    x = min(max(x, -TANH_LIMIT), TANH_LIMIT)
    y = x * x
    above = x * (_A0 + y * (_A1 + y * _A2))
    return above / (_ONE + y * (_B1 + y * (_B2 + y * _B3)))


@_inlined
def sigmoid(x):  # type: ignore[no-untyped-def]
    return _HALF + _HALF * tanh(_HALF * x)


@_inlined
def add_products(  # type: ignore[no-untyped-def]
    weights, layer, steps, row, bounded, vectors, place, zs, bytes_, sizes
):
    """zs[b] += weights[layer] @ vectors[place, b] for the numbers b of streams, at most 4.

    Args:
        weights: of all layers, (L, M, K) int8, or those of `fast_engines.pack_for_vnni`.
        steps: (S, M), in the given row the scales of the rows.
        bounded: whether the vectors' numbers are from -1 to 1, which then are 254 steps of int8;
            else the largest of each vector is 127 steps.
        vectors: (_, B, K).
        zs: (B, M); zs and steps may have more columns, up to a multiple of 16.
        bytes_: (4, K) bytes, and sizes: (4,), room to work in.
    """
    B = vectors.shape[1]
    together = B if B == TOGETHER else 1
    for first in range(0, B, together):
        for b in range(together):
            sizes[b] = _quantize(vectors, place, first + b, bounded, bytes_, b)
        add_dots(weights, layer, steps, row, zs, first, together, bytes_, sizes)


@_inlined
def _quantize(vectors, place, stream, bounded, bytes_, b):  # type: ignore[no-untyped-def]
    """Fill bytes_[b] with a vector as int8 from -127 to 127, and 128 more: bytes.

    Returns what one of them is.
    """
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


def add_dots(  # type: ignore[no-untyped-def]
    weights, layer, steps, row, zs, first, together, bytes_, sizes
):
    """zs[first : first + together] += bytes_ @ weights[layer].T, as numbers; 1 or 4 together."""
    raise NotImplementedError  # a name for numba, which compiles what `_add_dots` returns


@overload(add_dots, jit_options=_INLINE)
def _add_dots(  # type: ignore[no-untyped-def]
    weights, layer, steps, row, zs, first, together, bytes_, sizes
):
    return _add_dots_anywhere if weights.ndim == 3 else _add_dots_by_vnni


@_inlined
def _add_dots_anywhere(  # type: ignore[no-untyped-def]
    weights, layer, steps, row, zs, first, together, bytes_, sizes
):
    _, M, K = weights.shape
    for m in range(M):
        for b in range(together):
            total = np.int32(0)
            for k in range(K):
                signed = np.int32(np.int32(bytes_[b, k]) - np.int32(128))
                total = np.int32(total + np.int32(np.int32(weights[layer, m, k]) * signed))
            zs[first + b, m] += F(total) * (steps[row, m] * sizes[b])


@_inlined
def _add_dots_by_vnni(  # type: ignore[no-untyped-def]
    weights, layer, steps, row, zs, first, together, bytes_, sizes
):
    if together == TOGETHER:
        _four_by_vnni(weights, layer, steps, row, zs, first, bytes_, sizes)
    else:
        _one_by_vnni(weights, layer, steps, row, zs, first, bytes_, sizes)


def _by_vnni(streams: int) -> Any:
    """What multiplies by AVX-512 VNNI, weights that `fast_engines.pack_for_vnni` has laid out.

    An instruction multiplies 4 neighbours in each of 16 rows with 4 bytes of a vector, and adds
    them to 16 sums. Four of them are under way at the same time, since each takes four cycles:
    those of four streams, or four parts of one stream.
    """
    i32, i64 = ir.IntType(32), ir.IntType(64)
    vector, floats = ir.VectorType(i32, 16), ir.VectorType(ir.FloatType(), 16)
    name = "llvm.x86.avx512.vpdpbusd.512"
    parts, line = TOGETHER // streams, 64  # bytes

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        weights, layer, steps, row, zs, first, bytes_, sizes = (
            context.make_array(kind)(context, builder, value)
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(signature.args, values, strict=True)
        )
        instruction = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(vector, [vector] * 3), name
        )

        def number(value: int) -> Any:
            return ir.Constant(i64, value)

        def at(array: Any, *index: Any) -> Any:
            """The address of an element."""
            address = builder.ptrtoint(array.data, i64)
            for axis, place in enumerate(index):
                stride = builder.extract_value(array.strides, axis)
                address = builder.add(address, builder.mul(stride, place))
            return address

        def load(kind: Any, address: Any, offset: Any) -> Any:
            pointer = builder.inttoptr(builder.add(address, offset), kind.as_pointer())
            loaded = builder.load(pointer)
            loaded.align = 1
            return loaded

        def in_all_lanes(kind: Any, value: Any) -> Any:
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, i32(0))
            return builder.shuffle_vector(one, one, ir.Constant(vector, [0] * 16))

        streams_ = range(streams)
        x = [at(bytes_, number(b)) for b in streams_]
        z = [at(zs, builder.add(first, number(b))) for b in streams_]
        size = [
            in_all_lanes(floats, load(ir.FloatType(), at(sizes, number(b)), number(0)))
            for b in streams_
        ]
        scales = at(steps, row)
        lines = builder.extract_value(weights.shape, 2)
        rounds = builder.udiv(builder.sub(lines, number(1)), number(parts))
        totals = [cgutils.alloca_once(builder, vector) for _ in range(TOGETHER)]
        with cgutils.for_range(builder, builder.extract_value(weights.shape, 1), intp=i64) as block:
            begin = at(weights, layer, block.index)
            start = load(vector, begin, number(0))
            for k, total in enumerate(totals):
                builder.store(start if k % parts == 0 else ir.Constant(vector, [0] * 16), total)
            with cgutils.for_range(builder, rounds, intp=i64) as loop:
                for part in range(parts):
                    place = builder.add(builder.mul(loop.index, number(parts)), number(part))
                    offset = builder.mul(builder.add(place, number(1)), number(line))
                    rows = load(vector, begin, offset)
                    for b in streams_:
                        four = load(i32, x[b], builder.mul(place, number(4)))
                        total = totals[b * parts + part]
                        sums = [builder.load(total), in_all_lanes(vector, four), rows]
                        builder.store(builder.call(instruction, sums), total)
            offset = builder.mul(block.index, number(line))
            scale = load(floats, scales, offset)
            for b in streams_:
                added = builder.load(totals[b * parts])
                for part in range(1, parts):
                    added = builder.add(added, builder.load(totals[b * parts + part]))
                product = builder.fmul(builder.sitofp(added, floats), builder.fmul(scale, size[b]))
                pointer = builder.inttoptr(builder.add(z[b], offset), floats.as_pointer())
                builder.store(builder.fadd(load(floats, z[b], offset), product), pointer).align = 1
        return context.get_dummy_value()

    def typed(  # type: ignore[no-untyped-def]
        typing, weights, layer, steps, row, zs, first, bytes_, sizes
    ):
        i64_ = types.int64
        return types.void(weights, i64_, steps, i64_, zs, i64_, bytes_, sizes), emit

    return intrinsic(typed)


_one_by_vnni, _four_by_vnni = _by_vnni(1), _by_vnni(TOGETHER)


@_inlined
def step(network, ids, hidden, cell, outputs, z, own, bytes_, sizes):  # type: ignore[no-untyped-def]
    """Step B streams over a character each.

    Args:
        ids: (B,).
        hidden, cell: (L, B, H), changed in place; the cell is an lstm's.
        outputs: (L, B, H), what is read of each layer, and of the last by the decoder; the same as
            `hidden` where that is what is read.
        z, own: (B, G*H or more), bytes_, sizes: as for `add_products`; room to work in.
    """
    L, B, H = hidden.shape
    steps, width = network.row_scales, network.table.shape[1]
    for layer in range(L):
        for b in range(B):
            if layer == 0:
                id_ = ids[b]  # read once: z might be ids, for all the compiler knows
                for m in range(width):
                    z[b, m] = network.table[id_, m]
            else:
                for m in range(width):
                    z[b, m] = network.biases[layer, m]
        if layer > 0:
            bounded = not network.skip_sum
            add_products(
                network.inputs, layer, steps, layer, bounded, outputs, layer - 1, z, bytes_, sizes
            )
        sums = z
        if network.kind == _GRU:
            sums = own
            for b in range(B):
                for m in range(2 * H):
                    own[b, m] = F(0)
                for j in range(H):
                    own[b, 2 * H + j] = network.hidden_bias[layer, j]
        add_products(
            network.recurrent, layer, steps, L + layer, True, hidden, layer, sums, bytes_, sizes
        )
        for b in range(B):
            _gates(network.kind, z, own, hidden, cell, layer, b)
            if network.skip_sum:
                _layer_output(network.output_scales[layer], hidden[layer, b], outputs[layer, b])
    if network.skip_sum:
        for layer in range(L - 1):
            for b in range(B):
                for j in range(H):
                    outputs[L - 1, b, j] += outputs[layer, b, j]


@_inlined
def _gates(kind, z, own, hidden, cell, layer, b):  # type: ignore[no-untyped-def]
    """The new hidden vector (H,) of a stream, and an lstm's cell, from the sums (G*H,)."""
    H = hidden.shape[2]
    if kind == _LSTM:
        for j in range(H):
            i, f = sigmoid(z[b, j]), sigmoid(z[b, H + j])
            c = f * cell[layer, b, j] + i * tanh(z[b, 2 * H + j])
            cell[layer, b, j] = c
            hidden[layer, b, j] = sigmoid(z[b, 3 * H + j]) * tanh(c)
    elif kind == _GRU:
        for j in range(H):
            r = sigmoid(z[b, j] + own[b, j])
            u = sigmoid(z[b, H + j] + own[b, H + j])
            n = tanh(z[b, 2 * H + j] + r * own[b, 2 * H + j])
            hidden[layer, b, j] = n + u * (hidden[layer, b, j] - n)
    else:
        for j in range(H):
            hidden[layer, b, j] = tanh(z[b, j])


@_compiled  # and not put in its place, where it would keep the gates from whole vectors
def _layer_output(scale, h, output):  # type: ignore[no-untyped-def]
    """What is read of a layer's hidden vector (H,)."""
    for j in range(len(h)):
        output[j] = h[j] * scale[j]


@_compiled
def _restrict(logits, weights, top_k, top_p):  # type: ignore[no-untyped-def]
    """Set to 0 the weights (V,) that top_k and top_p leave out: `draw.keep_likeliest`."""
    ranked = np.argsort(-logits, kind="mergesort")  # of equally likely ids the lower comes first
    stay = len(ranked) if top_k >= len(ranked) else int(top_k)
    if top_p < 1:
        total, reached, limit, stay = 0.0, 0.0, stay, 0
        for rank in range(limit):
            total += weights[ranked[rank]]
        while stay < limit and reached < top_p * total:
            reached += weights[ranked[stay]]
            stay += 1
    for rank in range(stay, len(ranked)):
        weights[ranked[rank]] = 0.0


@_inlined
def exponential(x):  # type: ignore[no-untyped-def]
    """Of numbers up to 0, in multiples of `WEIGHT_STEP`."""
    scale, rest = _power_of_two(F(x) * LOG2_E)
    return np.rint(np.float64(scale + rest) / WEIGHT_STEP) * WEIGHT_STEP


@_inlined
def logarithm(x):  # type: ignore[no-untyped-def]
    """Of numbers above 0: 2 atanh((m - 1) / (m + 1)) + n ln 2, for x = m 2**n, m near 1."""
    bits = F(x).view(np.int32)
    n = np.int32(np.int32(bits - SQRT_HALF) >> np.int32(23))
    m = np.int32(bits - np.int32(n << np.int32(23))).view(np.float32)
    s = (m - _ONE) / (m + _ONE)
    square = s * s
    series = _L0 + square * (_L1 + square * (_L2 + square * (_L3 + square * _L4)))
    return F(n) * LOG_TWO + s * series


@_inlined
def _in_order(bits):  # type: ignore[no-untyped-def]
    """Of a float32's bits, a whole number in the same order; and of that, the bits.

    The largest of whole numbers is found in many lanes, that of floats only without NaNs.
    """
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@_inlined
def draw(logits, weights, uniform, greedy, scale, limits):  # type: ignore[no-untyped-def]
    """Return the id that `charrnn.generation.draw` draws, or -1 if the logits are no numbers."""
    top, numbers = np.int32(-(2**31)), True
    for v in range(len(logits)):
        top = max(top, _in_order(F(logits[v]).view(np.int32)))
        numbers &= logits[v] == logits[v]
    highest = np.float64(np.int32(_in_order(top)).view(np.float32))
    if not numbers or not -np.inf < highest < np.inf:
        return -1
    if greedy:
        for v in range(len(logits)):
            if logits[v] == highest:
                return v
    total = 0.0
    for v in range(len(logits)):
        weights[v] = exponential((np.float64(logits[v]) - highest) * scale)
    top_k, top_p, min_p = limits
    if top_k < len(logits) or top_p < 1:
        _restrict(logits, weights, top_k, top_p)
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
    """Replace the contexts (K,) of one stream by those after one more character."""
    characters, starts, _, _, _, _, _ = counts
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
    characters, starts, mass, left, unigram, _, _ = counts
    p[:] = unigram
    for node in nodes:
        if node == 0:
            break
        share = left[node]
        for v in range(len(p)):
            p[v] *= share
        for child in range(starts[node], starts[node + 1]):
            p[characters[child]] += mass[child]


@_compiled
def _mix(counts, nodes, p, logits):  # type: ignore[no-untyped-def]
    """Make of a network's logits (V,) those of the mix: as `charrnn.counts.mixing.mix_log_probs`.

    Args:
        p: room (V,).
    """
    length = np.count_nonzero(nodes)
    for run in counts[-2]:
        if nodes[-1] == run:
            length = len(nodes) + 1
    of_network, of_counts = counts[-1][length]
    _predict(counts, nodes, p)
    for v in range(len(p)):
        score = of_counts * logarithm(p[v])
        if of_network != F(0):  # whose logits may be none
            score += of_network * logits[v]
        logits[v] = score


@keep_compiled
def write(  # type: ignore[no-untyped-def]
    network, counts, hidden, cell, nodes, ids, uniforms, bias, greedy, scale, limits, needed,
    written, reads, read_logits,
):  # fmt: skip
    """Write `written` (B, T) after `ids` (B,), which become the last that were written; B <= 4.

    Args:
        counts: the characters, starts, mass, left, unigram and runs of a `CountTable`, and the
            weights (K + 2, 2) of network and counts.
        hidden, cell: (L, B, H), which become those after the last character that was taken in.
        nodes: (B, K), the state of the counts, which becomes that after the last character; K is
            0 where there are none.
        bias: (B, V), added to the logits; minus infinity for what a stream never writes.
        greedy, scale: (B,), as `draw.Batch` has them.
        limits: (B, F), the filters' values, as `draw.Batch` has them.
        needed: (B,), how many of the T characters each stream needs.
        reads: whether what stands in `written` is read, and nothing is written.
        read_logits: (B, T, V), which become those after each character that is read; (B, 0, V)
            where they are not wanted.

    Returns False when the logits are not numbers.
    """
    L, B, H = hidden.shape
    V, width = len(network.decoder_bias), network.row_scales.shape[1]
    z, own = np.zeros((B, width), np.float32), np.zeros((B, width), np.float32)
    bytes_ = np.zeros((TOGETHER, H + 16), np.uint8)
    sizes = np.zeros(TOGETHER, np.float32)
    outputs = np.empty_like(hidden) if network.skip_sum else hidden
    logits, weights = np.zeros((B, width), np.float32), np.empty(V, np.float64)
    counted, predicted = nodes.shape[1] > 0, np.empty(V, np.float32)
    needs_network = not counted or counts[-1][:, 0].any()
    needs_logits = not reads or read_logits.shape[1] > 0
    for t in range(needed.max()):
        if needs_network:
            step(network, ids, hidden, cell, outputs, z, own, bytes_, sizes)
        if needs_network and needs_logits:
            for b in range(B):
                for v in range(V):
                    logits[b, v] = network.decoder_bias[v]
            add_products(
                network.decoder, 0, network.row_scales, 2 * L, not network.skip_sum, outputs,
                L - 1, logits, bytes_, sizes,
            )  # fmt: skip
        for b in range(B):
            if counted:
                _walk(counts, nodes[b], ids[b])
            if counted and needs_logits:
                _mix(counts, nodes[b], predicted, logits[b, :V])
            if reads:
                if needs_logits:
                    read_logits[b, t] = logits[b, :V]
                ids[b] = written[b, t]
                continue
            for v in range(V):
                logits[b, v] += bias[b, v]
            ids[b] = draw(logits[b, :V], weights, uniforms[b, t], greedy[b], scale[b], limits[b])
            if ids[b] < 0:
                return False
            written[b, t] = ids[b]
    return True
