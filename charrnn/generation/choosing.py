"""Choosing the next character from the network's logits.

The probabilities are the softmax at a temperature over the characters that are not banned, cut
down by top_k, top_p and min_p. A choice is the inverse of their cumulated sum at one uniform
number in [0, 1), so that the same numbers give the same text in every engine, but for draws
that fall within rounding of a boundary. The sums are in float64: a vocabulary is short beside
the network, and float32 sums would move those boundaries a billion times as far.

Each stream of a batch may be chosen for in a way of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import RunError

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# The inverse of a temperature is held below this, so that no difference of float32 logits
# times it leaves the range of float64; at that heat everything but the likeliest is 0 anyway.
_COLDEST = 1e260
_NEVER = 2.0  # no sum of probabilities reaches it


@dataclass(frozen=True)
class Choice:
    """How a character is chosen; the values are those that `GenerateOptions` admits.

    Attributes:
        temperature: divides the logits; 0 means always the likeliest character.
        top_k: choose among the k likeliest only.
        top_p: choose among the fewest likeliest that together have at least this
            probability (nucleus sampling, Holtzman et al. 2020), counted after the
            temperature and among those that top_k leaves.
        min_p: choose among those only that are at least so many times as likely as the
            likeliest, after the temperature (Nguyen et al. 2024, arXiv 2407.01082).
        banned: the ids that are never chosen; the probabilities are those of the others.

    Of equally likely characters the one with the lower id counts as the likelier.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    banned: tuple[int, ...] = ()

    @property
    def greedy(self) -> bool:
        """Whether the likeliest character is chosen always."""
        return self.temperature == 0 or self.top_k == 1

    @property
    def scale(self) -> float:
        """What the logits are multiplied with; 1 if `greedy`, where it changes nothing."""
        return 1.0 if self.greedy else min(1 / self.temperature, _COLDEST)


Chosen = Choice | Sequence[Choice]  # one for all streams of a batch, or one for each


def choice_of(stream: int, chosen: Chosen) -> Choice:
    """The one for a stream."""
    return chosen if isinstance(chosen, Choice) else chosen[stream]


class Choices:
    """The choices of N streams as arrays; what is not asked for is there as what changes nothing.

    Attributes:
        greedy: (N,), as `Choice.greedy`.
        scale, top_k, top_p, min_p: (N, 1), as in `Choice`.
        banned: (N, V), true for what is never chosen.
        ranked: (N,), whether top_k or top_p leaves something out.
    """

    def __init__(self, chosen: Chosen, streams: int, vocabulary_size: int) -> None:
        each = [chosen] * streams if isinstance(chosen, Choice) else chosen
        V = vocabulary_size

        def column(values: list[float], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
            return np.array(values, dtype)[:, None]

        self.greedy: Flags = np.array([choice.greedy for choice in each])
        self.scale: Floats = column([choice.scale for choice in each])
        self.top_k: Ids = column([min(choice.top_k or V, V) for choice in each], np.int64)
        # a top_p of 1 leaves nothing out, whatever the sums are rounded to
        top_p = [1 if choice.top_p is None else choice.top_p for choice in each]
        self.top_p: Floats = column([p if p < 1 else _NEVER for p in top_p])
        self.min_p: Floats = column([choice.min_p or 0.0 for choice in each])
        self.banned: Flags = np.zeros((len(each), V), bool)
        for row, choice in zip(self.banned, each, strict=True):
            row[list(choice.banned)] = True
        self.ranked: Flags = ((self.top_k < V) | (self.top_p < 1))[:, 0] & ~self.greedy


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """The logarithms (..., V) of the probabilities, in float64."""
    scores: Floats = logits.astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores


def likeliest_first(scores: Floats) -> Ids:
    """The ids by their scores (..., V). Heat makes weights equal, but not this order."""
    return np.argsort(-scores, axis=-1, kind="stable")


def _restrict(weights: Floats, order: Ids, top_k: Ids, top_p: Floats) -> None:
    """Set to 0 the weights (N, V) of the characters that top_k and top_p (N, 1) leave out."""
    ranked = np.take_along_axis(weights, order, -1)
    ranked[np.arange(ranked.shape[-1]) >= top_k] = 0
    sums = ranked.cumsum(-1)
    reached = sums >= top_p * sums[:, -1:]
    # the one that reaches top_p stays, all after it go
    ranked[:, 1:][reached[:, :-1]] = 0
    np.put_along_axis(weights, order, ranked, -1)


class Chooser:
    """Chooses for N streams at once, in buffers of its own.

    Write the logits into `scores` (N, V), or (V,) when N is 1, then call `choose`, or
    `choose_one`, which a single stream's speed rests on.
    """

    def __init__(self, chosen: Chosen, streams: int, vocabulary_size: int) -> None:
        self._choices = choices = Choices(chosen, streams, vocabulary_size)
        table = np.empty((streams, vocabulary_size))
        self._table = table  # the same numbers as `scores`
        self.scores = table[0] if streams == 1 else table
        self._reached = np.empty(self.scores.shape, bool)
        self._rows = np.arange(streams)
        # what nothing asks for costs nothing
        self._banned = np.nonzero(choices.banned) if choices.banned.any() else None
        self._scaled = bool((choices.scale != 1).any())
        self._ranked = np.flatnonzero(choices.ranked)
        self._top_k, self._top_p = choices.top_k[self._ranked], choices.top_p[self._ranked]
        self._cut = bool(choices.min_p.any())
        self._all_greedy = bool(choices.greedy.all())
        self._greedy = choices.greedy if choices.greedy.any() else None

    def choose_one(self, uniform: float) -> int:
        """The id for the one stream's `scores`, which are overwritten."""
        scores = self.scores
        if self._banned is not None:
            self._table[self._banned] = -np.inf
        likeliest = scores.argmax()
        highest = scores[likeliest]
        if not -np.inf < highest < np.inf:
            raise not_numbers()
        if self._all_greedy:
            return int(likeliest)
        self._cumulate(highest)
        return int(scores.searchsorted(uniform * scores[-1], "right"))

    def choose(self, uniforms: Floats, ids: Ids) -> None:
        """The ids (N,) for `scores` (N, V), which are overwritten, at `uniforms` (N,)."""
        scores = self.scores
        if self._banned is not None:
            self._table[self._banned] = -np.inf
        scores.argmax(1, ids)
        highest = scores[self._rows, ids][:, None]
        if not np.isfinite(highest).all():
            raise not_numbers()
        if self._all_greedy:
            return
        likeliest = None if self._greedy is None else ids[self._greedy]
        self._cumulate(highest)
        np.less_equal(scores, uniforms[:, None] * scores[:, -1:], self._reached)
        self._reached.sum(1, out=ids)
        if likeliest is not None:
            ids[self._greedy] = likeliest

    def _cumulate(self, highest: npt.NDArray[np.float64]) -> None:
        """Turn `scores` into the cumulated sums of what their probabilities are in parts of."""
        scores, table, choices = self.scores, self._table, self._choices
        order = likeliest_first(table[self._ranked]) if len(self._ranked) else None
        np.subtract(scores, highest, scores)
        if self._scaled:
            np.multiply(table, choices.scale, table)
        np.exp(scores, scores)
        unlikely = table < choices.min_p if self._cut else None
        if order is not None:
            weights = table[self._ranked]
            _restrict(weights, order, self._top_k, self._top_p)
            table[self._ranked] = weights
        if unlikely is not None:
            table[unlikely] = 0
        np.add.accumulate(scores, -1, None, scores)


def not_numbers() -> RunError:
    """What a choice among logits that are infinite or no numbers ends with."""
    return RunError("the model's scores are not numbers: its weights are too large to compute with")
