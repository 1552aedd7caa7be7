"""How likely characters were, from the logits in their places."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from charrnn.generation.token_sampler import Ids, likeliest_first, log_softmax
from charrnn.generation.weights import Array
from charrnn.serving.job import Scored


def scored(logits: Array, ids: Ids, likeliest: int) -> Scored:
    """Score characters (T,) by the logits (T, V) of their places.

    Args:
        likeliest: so many of the likeliest are told for each place.
    """
    values = log_softmax(logits)
    own = np.take_along_axis(values, ids[:, None], 1)[:, 0]
    if not likeliest:
        return Scored(ids.tolist(), own.tolist(), [[] for _ in own])
    order = likeliest_first(values)[:, :likeliest]
    ranked = np.take_along_axis(values, order, 1)
    pairs = [
        list(zip(row, of_row, strict=True))
        for row, of_row in zip(order.tolist(), ranked.tolist(), strict=True)
    ]
    return Scored(ids.tolist(), own.tolist(), pairs)


def joined(parts: Iterable[Scored]) -> Scored:
    """What was scored one after another."""
    whole = Scored([], [], [])
    for part in parts:
        whole.ids.extend(part.ids)
        whole.logprobs.extend(part.logprobs)
        whole.likeliest.extend(part.likeliest)
    return whole
