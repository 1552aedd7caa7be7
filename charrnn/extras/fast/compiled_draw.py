"""The draw in the compiled loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from charrnn.extras.fast.compiled_debts import pay, repay
from charrnn.extras.fast.compiling import F, compile_apart, inline
from charrnn.extras.fast.rounded_math import exp
from charrnn.generation.draw import COLUMNS

_SCALE, _PAYBACK, _TOP_K, _TOP_P, _MIN_P = map(
    COLUMNS.index, ("scale", "payback", "top_k", "top_p", "min_p")
)


class Draws(NamedTuple):
    """The random numbers and params of B streams, like in `draw.Batch`."""

    uniforms: Any  # (B, T), a random number for each new character
    bias: Any  # (B, V), added to the logits; minus infinity for banned characters
    greedy: Any  # (B,)
    limits: Any  # (2, B, 2 + F), ordinary and lifted
    blanks: Any  # (_,), ids
    runs: Any  # (B,), the number of equal blanks at the end of each stream
    nodes: Any  # (B,), of the current words in the known words
    costs: Any  # (B,), of leaving the known words
    ends: Any  # the `debts.Ends`
    debts: Any  # (B, E), changed in place


@compile_apart
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


@inline
def _convert_order(bits):  # type: ignore[no-untyped-def]
    """Convert the bits of a float32 to an integer with the same order, and such an integer back.

    It is its inverse. A maximum of integers is vectorized, but not one of floats, because of NaNs.
    """
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@inline
def _find_highest(logits):  # type: ignore[no-untyped-def]
    """Return the highest of logits (V,), compared as integers; NaN if one is NaN."""
    top, has_no_nan = np.int32(-(2**31)), True
    for v in range(len(logits)):
        top = max(top, _convert_order(F(logits[v]).view(np.int32)))
        has_no_nan &= logits[v] == logits[v]
    return np.float64(np.int32(_convert_order(top)).view(np.float32)) if has_no_nan else np.nan


@inline
def draw(logits, weights, uniform, greedy, limits, ends, debts, last):  # type: ignore[no-untyped-def]
    """Return the id that `charrnn.generation.draw` draws, or -1 if the logits are not finite.

    Args:
        weights: (V,), working memory.
        limits: (2 + F,), scale, payback and filters in the order of `COLUMNS`.
        ends: the E characters that end lines and sentences (`charrnn.generation.debts.Ends`).
        debts: (E,), how much less often each end was drawn than the model expects; changed in
            place; empty if the stream keeps none.
        last: the last character of the text.
    """
    highest = _find_highest(logits)
    if not -np.inf < highest < np.inf:
        return -1
    if greedy:
        for v in range(len(logits)):
            if logits[v] == highest:
                return v
    if len(debts) > 0:
        repay(ends, debts, last, limits[_PAYBACK], logits, highest, weights)
        highest = _find_highest(logits)
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
            pay(ends, debts, v)
            return v
    return -1


@inline
def count_blanks(run, last, id_, blanks):  # type: ignore[no-untyped-def]
    """Return the number of equal blanks at the end of a text to which an id was appended."""
    for blank in blanks:
        if id_ == blank:
            return run + 1 if id_ == last else 1
    return 0
