"""The compiled loop itself; `numba_engine` calls it.

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

from charrnn.generation.numba_terms import KERNELS, SKIPS, TOGETHER
from charrnn.models.trained import LAYERNORM_EPS

# a compiled function keeps the value that a global had when it was compiled
_LSTM, _CAPPED, _GRU = KERNELS["lstm"], KERNELS["capped_lstm"], KERNELS["gru"]
_NO_SKIP, _RESIDUAL, _SUM = SKIPS["none"], SKIPS["residual"], SKIPS["sum"]

# contract: a product and a sum as one instruction; reassoc: a sum in several lanes.
# Nothing here lets the compiler forget that there are NaNs.
_FASTMATH = {"contract", "reassoc", "nsz"}

F = np.float32
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _FASTMATH}
_compiled = numba.njit(**_OPTIONS)


def _cached(function: Callable[..., Any]) -> Any:
    """Compiled, with all that it calls, and kept for the next process where there is room."""
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # "no locator available": no folder for the cache can be written
        return _compiled(function)


# 2**f = 1 + f * q(f) for f in [-0.5, 0.5], q fitted at Chebyshev points
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5 = (
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
_LOG2_E = F(math.log2(math.e))
_ONE, _TWO, _HALF = F(1), F(2), F(0.5)
_EPS = F(LAYERNORM_EPS)
_LARGEST = F(100)  # a power of two at which both functions have long reached their limit


@_compiled
def _tanh(x):  # type: ignore[no-untyped-def]
    """(e - 1) / (e + 1) for e = exp(2 x), with e - 1 formed so that small x lose nothing."""
    power = min(max(_TWO * _LOG2_E * x, -_LARGEST), _LARGEST)
    whole = np.floor(power + _HALF)
    f = power - whole
    rest = f * (_Q0 + f * (_Q1 + f * (_Q2 + f * (_Q3 + f * (_Q4 + f * _Q5)))))
    scale = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return ((scale - _ONE) + scale * rest) / ((scale + _ONE) + scale * rest)


@_compiled
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return _HALF + _HALF * _tanh(_HALF * x)


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
def _add_products(weight, xs, zs):  # type: ignore[no-untyped-def]
    """zs += xs @ weight.T, for (M, K), (B, K) and (B, M); B is at most 4."""
    if len(xs) == TOGETHER:
        _add_four(weight, xs, zs)
    else:
        for b in range(len(xs)):
            _add_product(weight, xs[b], zs[b])


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
):
    """Step B streams over a character each.

    Args:
        table: (V, G*H), ids: (B,).
        inputs, biases: (L, G*H, H) and (L, G*H); those of the first layer are not read.
        recurrent: (L, G*H, H).
        own_biases: (L, H), those that a gru's r multiplies.
        layernorm, skip: whether and how what is read of a layer is more than its hidden vector.
        scales: (L, H), what is then multiplied with what is read.
        hidden, cell: (L, B, H), changed in place; the cell is an lstm's, capped or not.
        outputs: (L, B, H), what is read of each layer, and of the last by the decoder; the same as
            `hidden` where that is what is read.
        z, own: (B, G*H), room to work in.
    """
    L, B, H = hidden.shape
    for layer in range(L):
        for b in range(B):
            z[b] = table[ids[b]] if layer == 0 else biases[layer]
        if layer > 0:
            _add_products(inputs[layer], outputs[layer - 1], z)
        if kind == _GRU:
            for b in range(B):
                own[b, : 2 * H] = F(0)
                own[b, 2 * H :] = own_biases[layer]
            _add_products(recurrent[layer], hidden[layer], own)
        else:
            _add_products(recurrent[layer], hidden[layer], z)
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


@_compiled
def draw(  # type: ignore[no-untyped-def]
    logits, weights, ranked, heap, uniform, greedy, scale, limits
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
        weights[v] = math.exp((np.float64(logits[v]) - highest) * scale)
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
            for child in range(first, end):
                total += numbers[child]
                taken += min(discounts[k, min(numbers[child], 3) - 1], np.float64(numbers[child]))
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
def _mix(counts, nodes, bias, p, logits):  # type: ignore[no-untyped-def]
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
            score = weights[1] * F(math.log(p[v]))
            if weights[0] != F(0):
                score += weights[0] * logits[v]
            logits[v] = score


@_compiled
def _write_some(  # type: ignore[no-untyped-def]
    kind, table, inputs, recurrent, biases, own_biases, layernorm, skip, scales, decoder,
    decoder_bias, counts, hidden, cell, nodes, ids, uniforms, greedy, scale, limits, needed,
    written,
):  # fmt: skip
    """As `write`, for streams that go through the weights together."""
    B, T = len(ids), needed.max()
    V = len(decoder)
    z, own = np.empty((B, table.shape[1]), np.float32), np.empty((B, table.shape[1]), np.float32)
    outputs = np.empty_like(hidden) if layernorm or skip != _NO_SKIP else hidden
    logits, weights = np.empty((B, V), np.float32), np.empty(V, np.float64)
    ranked, heap = np.empty(V, np.int64), np.empty(V, np.int64)
    counted, room = nodes.shape[1] > 0, np.empty(V, np.float32)
    has_a_say = not counted or counts[-1][0] != F(0)
    for t in range(T):
        if has_a_say:
            step(
                kind, table, ids, inputs, recurrent, biases, own_biases, layernorm, skip, scales,
                hidden, cell, outputs, z, own,
            )  # fmt: skip
            for b in range(B):
                logits[b] = decoder_bias[b]
            _add_products(decoder, outputs[-1], logits)
        if counted:
            for b in range(B):
                _walk(counts, nodes[b], ids[b])
                _mix(counts, nodes[b], decoder_bias[b], room, logits[b])
        for b in range(B):
            ids[b] = draw(
                logits[b], weights, ranked, heap, uniforms[b, t], greedy[b], scale[b], limits[b]
            )
            if ids[b] < 0:
                return False
            written[b, t] = ids[b]
    return True


@_cached
def write(  # type: ignore[no-untyped-def]
    kind, table, inputs, recurrent, biases, own_biases, layernorm, skip, scales, decoder,
    decoder_bias, counts, hidden, cell, nodes, ids, uniforms, greedy, scale, limits, needed,
    written,
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

    Returns False when the logits are not numbers.
    """
    for b in range(0, len(ids), TOGETHER):
        e = min(b + TOGETHER, len(ids))
        own_hidden, own_cell = hidden[:, b:e].copy(), cell[:, b:e].copy()
        if not _write_some(
            kind, table, inputs, recurrent, biases, own_biases, layernorm, skip, scales, decoder,
            decoder_bias[b:e], counts, own_hidden, own_cell, nodes[b:e], ids[b:e],
            uniforms[b:e], greedy[b:e], scale[b:e], limits[b:e], needed[b:e], written[b:e],
        ):  # fmt: skip
            return False
        cell[:, b:e] = own_cell
        hidden[:, b:e] = own_hidden  # last: without a cell's state both are the same array
    return True
