"""A network in int8 and the draw as one compiled loop, which `fast_engines` calls.

A text is the same on every machine. The rows of each matrix are int8 with a scale
(`charrnn.generation.int8_rows`), and the vectors are rounded in the same way, so their products
are sums of integers, which are the same in any order. All else is float32, for which IEEE 754
defines the result of each operation. The exponential, the logarithm and tanh are made of these
operations, because libraries differ between machines. The weights of a draw are multiples of
2**-30, whose sums in float64 are exact.

A chunk of characters is one call, which releases Python's lock. Reading the weights limits the
speed of one stream, so four streams read them together.

All compiled code is in this file, because numba's cache checks only the date of one file.
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
from numba.extending import intrinsic, register_jitable

from charrnn.counts.run_lengths import MAX_ODDS, MAX_RUN
from charrnn.counts.words import UNKNOWN
from charrnn.generation.draw import COLUMNS, RUN_LENGTH
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


class CompiledCounts(NamedTuple):
    """The tables of counts, in the same types for all counts."""

    # of the `CountTable`
    characters: Any
    starts: Any
    mass: Any
    backoff: Any
    unigram: Any
    # of the `Counts`
    by_place: Any
    needs_network: bool
    # of the `RunLengths`
    least_run: int
    run_characters: Any
    run_lengths: Any
    run_odds: Any
    # of the `WordTable`; without one, all letters are 0
    letters: Any
    word_starts: Any
    word_characters: Any
    word_ratios: Any
    word_children: Any  # (M + 1,), the number of nodes before the children of each node
    child_letters: Any  # (M - 1,), the last letter of each node but the first
    word_weights: Any  # (2,)


KERNELS = {"lstm": 0, "gru": 1, "rnn": 2}
GROUP_SIZE = 4  # streams that read the weights together
# Compiled functions treat globals as constants.
_LSTM, _GRU = KERNELS["lstm"], KERNELS["gru"]
_SCALE, _TOP_K, _TOP_P, _MIN_P = map(COLUMNS.index, ("scale", "top_k", "top_p", "min_p"))

F = np.float32
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_compile = register_jitable
# Inlined calls do not count the references to each array argument.
_inline = register_jitable(forceinline=True)


def keep_compiled(function: Callable[..., Any]) -> Any:
    """Compile a function and its callees, and store the machine code if possible."""
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # "no locator available": no cache folder is writable
        return numba.njit(**_OPTIONS)(function)


# 2**f = 1 + f * q(f) for f in [-0.5, 0.5]: coefficients of q, fitted at Chebyshev points
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5 = map(F, (
    0.6931471880293426, 0.24022650922342706, 0.055503571042531036,
    0.009618056669891782, 0.001339086735134184, 0.00015461447461418272,
))  # fmt: skip
LOG2_E = F(math.log2(math.e))
LARGEST_POWER = F(100)  # of two
# tanh(x) = x (a0 + a1 x**2 + a2 x**4) / (1 + b1 x**2 + b2 x**4 + b3 x**6) from -6 to 6, with an
# error of at most 7e-6, a thousandth of a step of int8
_A0, _A1, _A2 = map(F, (0.9999711563322369, 0.1144727688279115, 0.0014955564822588022))
_B1, _B2, _B3 = map(F, (0.44771414092506084, 0.017487422700325637, 5.5186217111248396e-05))
TANH_LIMIT = F(6)
_L0, _L1, _L2, _L3, _L4 = (F(2 / n) for n in (1, 3, 5, 7, 9))
LOG_TWO = F(math.log(2))
SQRT_HALF_BITS = F(0.5**0.5).view(np.int32)
WEIGHT_STEP = 2.0**-30  # the weights of a draw are multiples of it
_ONE, _TWO, _HALF = F(1), F(2), F(0.5)
_INT8_MAX, _MAX_ODDS = F(INT8_MAX), F(MAX_ODDS)


@_inline
def _exp2(power):  # type: ignore[no-untyped-def]
    """Return two numbers whose sum is 2**power. The first is the nearest power of two."""
    power = min(max(power, -LARGEST_POWER), LARGEST_POWER)
    integer = np.floor(power + _HALF)
    f = power - integer
    rest = f * (_Q0 + f * (_Q1 + f * (_Q2 + f * (_Q3 + f * (_Q4 + f * _Q5)))))
    scale = np.int32((np.int32(integer) + np.int32(127)) << np.int32(23)).view(np.float32)
    return scale, scale * rest


@_inline
def tanh(x):  # type: ignore[no-untyped-def]
    """Return tanh(x) as a quotient of two polynomials."""
    x = min(max(x, -TANH_LIMIT), TANH_LIMIT)
    y = x * x
    numerator = x * (_A0 + y * (_A1 + y * _A2))
    return numerator / (_ONE + y * (_B1 + y * (_B2 + y * _B3)))


@_inline
def sigmoid(x):  # type: ignore[no-untyped-def]
    return _HALF + _HALF * tanh(_HALF * x)


@_inline
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
        _add_dots(weights, layer, row_scales, row, zs, first, group, bytes_, scales)


@_inline
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


@_inline
def _add_dots(  # type: ignore[no-untyped-def]
    weights, layer, row_scales, row, zs, first, group, bytes_, scales
):
    """Compute zs[first : first + group] += bytes_ @ weights[layer].T, scaled; `group` is 1 or 4."""
    if weights.ndim == 3:  # numba compiles only one branch, because a type has one ndim.
        _add_dots_portably(weights, layer, row_scales, row, zs, first, group, bytes_, scales)
    elif group == GROUP_SIZE:
        _add_group_by_vnni(weights, layer, row_scales, row, zs, first, bytes_, scales)
    else:
        _add_one_by_vnni(weights, layer, row_scales, row, zs, first, bytes_, scales)


@_inline
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


def _make_vnni_dots(streams: int) -> Any:
    """Return `_add_dots` by AVX-512 VNNI, for 1 or 4 streams and `fast_engines.pack_for_vnni`.

    An instruction multiplies 4 neighbours in each of 16 rows with 4 bytes of a vector, and adds the
    products to 16 sums. It takes four cycles, so four independent instructions run at the same
    time: for four streams, or for four parts of one stream.
    """
    i32, i64 = ir.IntType(32), ir.IntType(64)
    vector, floats = ir.VectorType(i32, 16), ir.VectorType(ir.FloatType(), 16)
    name = "llvm.x86.avx512.vpdpbusd.512"
    parts, line = GROUP_SIZE // streams, 64  # bytes

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        weights, layer, row_scales, row, zs, first, bytes_, scales = (
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
            """Return the address of an element."""
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

        def broadcast(kind: Any, value: Any) -> Any:
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, i32(0))
            return builder.shuffle_vector(one, one, ir.Constant(vector, [0] * 16))

        streams_ = range(streams)
        x = [at(bytes_, number(b)) for b in streams_]
        z = [at(zs, builder.add(first, number(b))) for b in streams_]
        scale = [
            broadcast(floats, load(ir.FloatType(), at(scales, number(b)), number(0)))
            for b in streams_
        ]
        row_scale = at(row_scales, row)
        lines = builder.extract_value(weights.shape, 2)
        rounds = builder.udiv(builder.sub(lines, number(1)), number(parts))
        totals = [cgutils.alloca_once(builder, vector) for _ in range(GROUP_SIZE)]
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
                        sums = [builder.load(total), broadcast(vector, four), rows]
                        builder.store(builder.call(instruction, sums), total)
            offset = builder.mul(block.index, number(line))
            block_scales = load(floats, row_scale, offset)
            for b in streams_:
                added = builder.load(totals[b * parts])
                for part in range(1, parts):
                    added = builder.add(added, builder.load(totals[b * parts + part]))
                factors = builder.fmul(block_scales, scale[b])
                product = builder.fmul(builder.sitofp(added, floats), factors)
                pointer = builder.inttoptr(builder.add(z[b], offset), floats.as_pointer())
                builder.store(builder.fadd(load(floats, z[b], offset), product), pointer).align = 1
        return context.get_dummy_value()

    def infer_types(  # type: ignore[no-untyped-def]
        typing, weights, layer, row_scales, row, zs, first, bytes_, scales
    ):
        i64_ = types.int64
        return types.void(weights, i64_, row_scales, i64_, zs, i64_, bytes_, scales), emit

    return intrinsic(infer_types)


_add_one_by_vnni, _add_group_by_vnni = _make_vnni_dots(1), _make_vnni_dots(GROUP_SIZE)


@_inline
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


@_inline
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


@_compile  # If it were inlined, the gates would not be vectorized.
def _scale_output(scale, h, output):  # type: ignore[no-untyped-def]
    """Fill `output` (H,) with a layer's scaled hidden vector."""
    for j in range(len(h)):
        output[j] = h[j] * scale[j]


@_compile
def _filter_weights(logits, weights, top_k, top_p):  # type: ignore[no-untyped-def]
    """Set to 0 the weights (V,) that top_k and top_p remove, like `draw.keep_likeliest`."""
    ranked = np.argsort(-logits, kind="mergesort")  # the lower of equally likely ids is first
    num_kept = len(ranked) if top_k >= len(ranked) else int(top_k)
    if top_p < 1:
        total, kept, limit, num_kept = 0.0, 0.0, num_kept, 0
        for rank in range(limit):
            total += weights[ranked[rank]]
        while num_kept < limit and kept < top_p * total:
            kept += weights[ranked[num_kept]]
            num_kept += 1
    for rank in range(num_kept, len(ranked)):
        weights[ranked[rank]] = 0.0


@_inline
def exp(x):  # type: ignore[no-untyped-def]
    """Return e**x for x <= 0, as a multiple of `WEIGHT_STEP`."""
    scale, rest = _exp2(F(x) * LOG2_E)
    return np.rint(np.float64(scale + rest) / WEIGHT_STEP) * WEIGHT_STEP


@_inline
def log(x):  # type: ignore[no-untyped-def]
    """Return ln x for x = m 2**n > 0, m near 1, as 2 atanh((m - 1) / (m + 1)) + n ln 2."""
    bits = F(x).view(np.int32)
    n = np.int32(np.int32(bits - SQRT_HALF_BITS) >> np.int32(23))
    m = np.int32(bits - np.int32(n << np.int32(23))).view(np.float32)
    s = (m - _ONE) / (m + _ONE)
    square = s * s
    series = _L0 + square * (_L1 + square * (_L2 + square * (_L3 + square * _L4)))
    return F(n) * LOG_TWO + s * series


@_inline
def _convert_order(bits):  # type: ignore[no-untyped-def]
    """Convert the bits of a float32 to an integer with the same order, and such an integer back.

    A maximum of integers is vectorized. For floats it would not be, because of NaNs.
    """
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@_inline
def draw(logits, weights, uniform, greedy, limits):  # type: ignore[no-untyped-def]
    """Return the id that `charrnn.generation.draw` draws, or -1 if the logits are not finite."""
    top, has_no_nan = np.int32(-(2**31)), True
    for v in range(len(logits)):
        top = max(top, _convert_order(F(logits[v]).view(np.int32)))
        has_no_nan &= logits[v] == logits[v]
    highest = np.float64(np.int32(_convert_order(top)).view(np.float32))
    if not has_no_nan or not -np.inf < highest < np.inf:
        return -1
    if greedy:
        for v in range(len(logits)):
            if logits[v] == highest:
                return v
    scale, top_k, top_p, min_p = limits[_SCALE], limits[_TOP_K], limits[_TOP_P], limits[_MIN_P]
    total = 0.0
    for v in range(len(logits)):
        weights[v] = exp((np.float64(logits[v]) - highest) * scale)
    if top_k < len(logits) or top_p < 1:
        _filter_weights(logits, weights, top_k, top_p)
    for v in range(len(logits)):
        if weights[v] >= min_p:
            total += weights[v]
        weights[v] = total
    limit = uniform * total
    for v in range(len(logits)):
        if weights[v] > limit:
            return v
    return -1


@_inline
def _count_blanks(run, last, id_, blanks):  # type: ignore[no-untyped-def]
    """Return the number of equal blanks at the end of a text to which an id was appended."""
    for blank in blanks:
        if id_ == blank:
            return run + 1 if id_ == last else 1
    return 0


@_inline
def _find_sorted(values, first, end, value):  # type: ignore[no-untyped-def]
    """Return the first place from `first` to `end` whose number is not below a value."""
    while first < end:
        middle = (first + end) // 2
        if values[middle] < value:
            first = middle + 1
        else:
            end = middle
    return first


@_inline
def _extend_state(counts, state, id_):  # type: ignore[no-untyped-def]
    """Update the counts' state (K + 2,) of one stream with one more character."""
    nodes, characters, starts = state[:-2], counts.characters, counts.starts
    last, shorter = nodes[0], 0
    for k in range(len(nodes)):
        end = starts[shorter + 1]
        child = _find_sorted(characters, starts[shorter], end, id_)
        shorter = nodes[k]
        nodes[k] = child if child < end and characters[child] == id_ else 0
        if nodes[k] == 0 or shorter == 0:
            nodes[k + 1 :] = 0
            break
    is_repeated = nodes[0] == last and last > 0
    state[-1] = min(state[-1] + 1, MAX_RUN) if is_repeated else 1
    letter = counts.letters[id_]
    if letter == 0:
        state[-2] = 0
    elif state[-2] != UNKNOWN:
        first, end = counts.word_children[state[-2]], counts.word_children[state[-2] + 1]
        place = _find_sorted(counts.child_letters, first, end, letter)
        is_known = place < end and counts.child_letters[place] == letter
        state[-2] = place + 1 if is_known else UNKNOWN


@_inline
def _predict(counts, nodes, p):  # type: ignore[no-untyped-def]
    """Fill p (V,) with the counts' probabilities after the contexts (K,)."""
    p[:] = counts.unigram
    for node in nodes:
        if node == 0:
            break
        factor = counts.backoff[node]
        for v in range(len(p)):
            p[v] *= factor
        for child in range(counts.starts[node], counts.starts[node + 1]):
            p[counts.characters[child]] += counts.mass[child]


@_inline
def _mix(counts, state, p, logits):  # type: ignore[no-untyped-def]
    """Mix the counts into a network's logits (V,), in place, without normalization.

    Args:
        state: (K + 2,), of the counts.
        p: (V,), working memory.
    """
    nodes, word = state[:-2], state[-2]
    of_network, of_counts = counts.by_place[1 if word else 0, np.count_nonzero(nodes)]
    odds = _find_odds(counts, counts.characters[nodes[0]], state[-1])
    if odds > F(0):
        of_network, of_counts = (F(1), F(0)) if counts.needs_network else (F(0), F(1))
    _predict(counts, nodes, p)
    for v in range(len(p)):
        logit = of_counts * log(p[v])
        if of_network != F(0):  # otherwise the network's logits may not be finite
            logit += of_network * logits[v]
        logits[v] = logit
    if odds > F(0):
        _continue_run(logits, counts.characters[nodes[0]], odds)
    elif word > 0:
        first, end = counts.word_starts[word], counts.word_starts[word + 1]
        weight = counts.word_weights[1 if end - first == 1 else 0]
        for entry in range(first, end):
            v = counts.word_characters[entry]
            logits[v] += weight * log(_ONE + counts.word_ratios[entry] / p[v])


@_inline
def _find_odds(counts, id_, length):  # type: ignore[no-untyped-def]
    """Return the odds that a run continues, like `RunLengths.find_odds`; 0 outside of runs."""
    if length < counts.least_run:
        return F(0)
    first = _find_sorted(counts.run_characters, 0, len(counts.run_characters), id_)
    end = _find_sorted(counts.run_characters, first, len(counts.run_characters), id_ + 1)
    if first == end:
        return F(0)
    entry = _find_sorted(counts.run_lengths, first, end, length)
    if entry < end and counts.run_lengths[entry] == length:
        return counts.run_odds[entry]
    return _MAX_ODDS if entry < end else _ONE / _MAX_ODDS


@_compile
def _continue_run(logits, id_, odds):  # type: ignore[no-untyped-def]
    """Set the logit with which the run of a character has these odds, like `RunOdds.apply`."""
    logits[id_] = -np.inf
    highest, total = logits.max(), 0.0
    for v in range(len(logits)):
        if v != id_:
            total += exp(logits[v] - highest)
    logits[id_] = log(F(total)) + highest + log(odds)


@keep_compiled
def write(  # type: ignore[no-untyped-def]
    network, counts, hidden, cell, contexts, ids, uniforms, bias, greedy, limits, blanks, runs,
    needed, written, reads, read_logits,
):  # fmt: skip
    """Write T characters in each of B streams, B <= 4. All states are changed in place.

    Args:
        counts: a `CompiledCounts`.
        hidden, cell: (L, B, H), the state before `ids`; afterwards before the last new character.
        contexts: (B, K + 2), the state of the counts at the same place; (B, 0) without counts.
        ids: (B,), the last characters; afterwards the last new characters.
        bias: (B, V), added to the logits; minus infinity for banned characters.
        greedy, limits, blanks, runs: like in `draw.Batch`; the runs (B,) are changed in place.
        needed: (B,), the number of characters that each stream needs.
        written: (B, T), filled with the new characters.
        reads: whether the characters in `written` are read, and nothing is written.
        read_logits: (B, T, V), filled with the logits after each character that is read; (B, 0, V)
            if they are not needed.

    Returns:
        False if the logits are not finite.
    """
    L, B, H = hidden.shape
    V, width = len(network.decoder_bias), network.row_scales.shape[1]
    z, hidden_z = np.zeros((B, width), np.float32), np.zeros((B, width), np.float32)
    bytes_ = np.zeros((GROUP_SIZE, H + 16), np.uint8)
    scales = np.zeros(GROUP_SIZE, np.float32)
    outputs = np.empty_like(hidden) if network.skip_sum else hidden
    logits, weights = np.zeros((B, width), np.float32), np.empty(V, np.float64)
    has_counts, p = contexts.shape[1] > 0, np.empty(V, np.float32)
    needs_network = not has_counts or counts.needs_network
    needs_logits = not reads or read_logits.shape[1] > 0
    for t in range(needed.max()):
        if needs_network:
            step(network, ids, hidden, cell, outputs, z, hidden_z, bytes_, scales)
        if needs_network and needs_logits:
            for b in range(B):
                for v in range(V):
                    logits[b, v] = network.decoder_bias[v]
            add_products(
                network.decoder, 0, network.row_scales, 2 * L, not network.skip_sum, outputs,
                L - 1, logits, bytes_, scales,
            )  # fmt: skip
        for b in range(B):
            if has_counts:
                _extend_state(counts, contexts[b], ids[b])
            if has_counts and needs_logits:
                _mix(counts, contexts[b], p, logits[b, :V])
            if reads:
                if needs_logits:
                    read_logits[b, t] = logits[b, :V]
                ids[b] = written[b, t]
                continue
            for v in range(V):
                logits[b, v] += bias[b, v]
            is_lifted = 1 if runs[b] >= RUN_LENGTH else 0
            id_ = draw(logits[b, :V], weights, uniforms[b, t], greedy[b], limits[is_lifted, b])
            if id_ < 0:
                return False
            runs[b] = _count_blanks(runs[b], ids[b], id_, blanks)
            written[b, t] = ids[b] = id_
    return True
