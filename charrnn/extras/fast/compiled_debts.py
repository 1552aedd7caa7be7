"""Debts in the compiled loop: sums of multiples of 2**-30, which are exact."""

from __future__ import annotations

import numpy as np

from charrnn.extras.fast.compiling import F, inline
from charrnn.extras.fast.rounded_math import WEIGHT_STEP, exp
from charrnn.generation.debts import HIGHEST, LOWEST


@inline
def repay(ends, debts, last, factor, logits, highest, weights):  # type: ignore[no-untyped-def]
    """Add multiples of the debts (E,) to logits (V,), like `Debts.repay`.

    Args:
        last: the last character of the text.
        highest: the highest logit.
        weights: (V,), working memory.
    """
    total, place_of_last = 0.0, ends.places[last]
    for v in range(len(logits)):  # This loop is vectorized, the next one is not.
        weights[v] = exp(logits[v] - highest)
    for v in range(len(logits)):
        total += weights[v]
    for place in range(len(debts)):
        id_, debt = ends.ids[place], debts[place]
        p = np.rint(weights[id_] / total / WEIGHT_STEP) * WEIGHT_STEP
        debts[place] = min(debt + p, HIGHEST)
        if debt < 0 or ends.pays[place_of_last, place]:
            logits[id_] += F(factor * debt)


@inline
def pay(ends, debts, id_):  # type: ignore[no-untyped-def]
    """Subtract a drawn character from the debts (E,)."""
    place = ends.places[id_]
    if place < len(debts):
        debts[place] = max(debts[place] - 1, LOWEST)
