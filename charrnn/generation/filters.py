"""Which characters may be drawn: filters, each one function, and a penalty.

A filter gets the probabilities (N, V) of N streams, the likeliest character first, and its option's
values (N, 1), and says which characters stay (N, V). Those of this file keep to what NumPy's arrays
and torch's tensors have in common. The penalty, DRY, goes by the text so far, and says how much the
logits of some characters lose. An engine without a kernel of its own for one calls its function.

Of equally likely characters the one with the lower id comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.options.sampling import SamplingParams

Function = Callable[[Any, Any], Any]


def top_k(probabilities: Any, k: Any) -> Any:
    """The k likeliest (Fan et al. 2018, arXiv 1805.04833)."""
    return (probabilities >= 0).cumsum(-1) <= k


def top_p(probabilities: Any, p: Any) -> Any:
    """The fewest likeliest that together have at least p (nucleus sampling, arXiv 1904.09751)."""
    sums = probabilities.cumsum(-1)
    stays = probabilities >= 0
    # the one that reaches p stays; a p of 1 leaves nothing out, whatever the sums are rounded to
    stays[..., 1:] = ((sums < p * sums[..., -1:]) | (p >= 1))[..., :-1]
    return stays


def min_p(probabilities: Any, share: Any) -> Any:
    """Those at least so many times as likely as the likeliest (arXiv 2407.01082)."""
    return probabilities >= share * probabilities[..., :1]


# by the field of SamplingParams that is its value; None: it is off. In the order in which they act
FILTERS: dict[str, Function] = {"top_k": top_k, "top_p": top_p, "min_p": min_p}

# What the compiled loop has kernels for, with the value at which each leaves nothing out
COMPILED = {"top_k": np.inf, "top_p": 1.0, "min_p": 0.0}

_LARGEST_PENALTY = 1e30  # all of these together are still a number


def dry(text: str, params: SamplingParams) -> dict[int, float]:
    """Lower what would go on with a sequence that the text has already.

    DRY, text-generation-webui PR 5677. Where the last n characters, `dry_allowed_length` or
    more, stand in the text before, the one that followed them there loses
    ``dry_multiplier * dry_base ** (n - dry_allowed_length)``; with the longest n counts.

    Args:
        text: `chr` of each id so far.
    """
    allowed, base = params.dry_allowed_length, params.dry_base
    penalties: dict[int, float] = {}
    end = text[-allowed:]
    place = text.find(end, 0, -1) if len(text) > allowed else -1
    while place >= 0:
        penalty, before, own = params.dry_multiplier, place - 1, len(text) - allowed - 1
        while before >= 0 and text[before] == text[own] and penalty < _LARGEST_PENALTY:
            penalty, before, own = penalty * base, before - 1, own - 1
        follows = ord(text[place + allowed])
        penalties[follows] = max(penalties.get(follows, 0), min(penalty, _LARGEST_PENALTY))
        place = text.find(end, place + 1, -1)
    return penalties


def active(params: SamplingParams) -> dict[str, Any]:
    """The filters that are asked for, by name, with their values."""
    values = {name: getattr(params, name) for name in FILTERS}
    return {name: value for name, value in values.items() if value is not None}


class Applied(NamedTuple):
    """A filter on some streams of a batch.

    Attributes:
        rows: which, (n,) or a slice for all.
        values: (n, 1), the option's value of each.
    """

    name: str
    function: Function
    rows: Any
    values: Any


def applied(each: Sequence[SamplingParams], acting: npt.NDArray[np.bool_]) -> list[Applied]:
    """The filters of those of N streams where they are `acting`, in the order in which they do."""
    asked = [active(params) if acts else {} for params, acts in zip(each, acting, strict=True)]
    result = []
    for name, function in FILTERS.items():
        rows = [n for n, values in enumerate(asked) if name in values]
        if rows:
            where: Any = slice(None) if len(rows) == len(each) else np.array(rows)
            values = np.array([[float(asked[n][name])] for n in rows])
            result.append(Applied(name, function, where, values))
    return result


def apply_filters(weights: Any, these: Sequence[Applied]) -> Any:
    """Weights (N, V), the likeliest first, with 0 for what the filters leave out.

    Args:
        weights: unnormalized probabilities; overwritten.
    """
    for each in these:
        some = weights[each.rows]
        weights[each.rows] = some * each.function(some / some.sum(-1)[:, None], each.values)
    return weights
