"""Draw the next character from the network's logits.

The probabilities are the softmax at a temperature over the characters that are not banned, cut
down by the filters. A draw is the inverse of their cumulated sum at one uniform number in
[0, 1), so that the same numbers give the same text in every engine, but for draws that fall
within rounding of a boundary. The sums are in float64: a vocabulary is short beside the
network, and float32 sums would move those boundaries a billion times as far.

Each stream of a batch may have params of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, RunError
from charrnn.generation import filters
from charrnn.options.ranges import temperatures_of
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# The inverse of a temperature is held below this, so that no difference of float32 logits
# times it leaves the range of float64; at that heat everything but the likeliest is 0 anyway.
_COLDEST = 1e260

Params = SamplingParams | Sequence[SamplingParams]  # for all streams of a batch, or for each


def each_of(params: Params, streams: int) -> list[SamplingParams]:
    """Those of every stream."""
    return [params] * streams if isinstance(params, SamplingParams) else list(params)


def temperature_of(params: SamplingParams) -> float:
    """What divides the logits, the first where it moves; 0: the likeliest character is taken."""
    return temperatures_of(params.temperature)[0] if params.sample else 0.0


def banned_ids(params: SamplingParams, vocabulary: Vocabulary) -> list[int]:
    """The ids that are never drawn.

    Raises:
        InputError: they are all.
    """
    known = set(vocabulary.look_up(params.ban or "").tolist()) - {-1}
    if len(known) == len(vocabulary):
        raise InputError("ban: every character that the model knows is banned; leave some")
    return sorted(known)


class Batch:
    """The params of N streams as arrays.

    Attributes:
        greedy: (N,), whether the likeliest character is taken.
        scale: (N, 1), what the logits are multiplied with; 1 where `greedy`.
        banned: (N, V), true for what is never drawn.
        filters: those of streams that are not `greedy`.
        penalized: the streams that have a penalty, with its function.
    """

    def __init__(self, params: Params, streams: int, vocabulary: Vocabulary) -> None:
        self.each = each = each_of(params, streams)
        self.vocabulary = vocabulary
        temperatures = np.array([temperature_of(one) for one in each])
        self.greedy: Flags = temperatures == 0
        with np.errstate(divide="ignore", over="ignore"):
            scale = np.minimum(1 / temperatures, _COLDEST)
        self.scale: Floats = np.where(self.greedy, 1, scale)[:, None]
        self.banned: Flags = np.zeros((streams, len(vocabulary)), bool)
        for row, one in zip(self.banned, each, strict=True):
            if one.ban:
                row[banned_ids(one, vocabulary)] = True
        self.filters = filters.applied(each, ~self.greedy)
        self.penalized = [
            (n, filters.PENALTIES[name])
            for n, one in enumerate(each)
            for name in filters.penalties(one)
        ]


class Penalties:
    """What the logits of streams lose by the texts so far.

    Args:
        texts: ids of each of N streams, as far as it is written.
    """

    def __init__(self, batch: Batch, texts: Sequence[Ids]) -> None:
        self._batch = batch
        self._texts = ["".join(map(chr, text.tolist())) for text in texts]

    def subtract(self, scores: Any) -> None:
        """From logits (N, V)."""
        for n, function in self._batch.penalized:
            penalties = function(self._texts[n], self._batch.each[n], self._batch.vocabulary)
            for id_, penalty in penalties.items():
                scores[n, id_] -= penalty

    def written(self, ids: Sequence[int]) -> None:
        """The next character of each stream was drawn."""
        self._texts = [text + chr(id_) for text, id_ in zip(self._texts, ids, strict=True)]


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """The logarithms (..., V) of the probabilities, in float64."""
    scores: Floats = logits.astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores


def likeliest_first(scores: Floats) -> Ids:
    """The ids by their scores (..., V). Heat makes weights equal, but not this order."""
    return np.argsort(-scores, axis=-1, kind="stable")


class Functions(NamedTuple):
    """What an engine computes exponentials (into a second array) and logarithms with."""

    exp: Callable[[Floats, Floats], object]
    log: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


FLOAT = Functions(np.exp, np.log)


class TokenSampler:
    """Draws for N streams at once, in buffers of its own.

    Write the logits into `scores` (N, V), or (V,) when N is 1, then call `draw`, or
    `draw_one`, which a single stream's speed rests on.

    Args:
        texts: ids of what stands before, in each stream, which the penalties go by.
    """

    def __init__(
        self,
        params: Params,
        vocabulary: Vocabulary,
        texts: Sequence[Ids],
        functions: Functions = FLOAT,
    ) -> None:
        streams = len(texts)
        batch = Batch(params, streams, vocabulary)
        table = np.empty((streams, len(vocabulary)))
        self._table = table  # the same numbers as `scores`
        self._exp = functions.exp
        self.scores = table[0] if streams == 1 else table
        self._reached = np.empty(self.scores.shape, bool)
        self._rows = np.arange(streams)
        # what nothing asks for costs nothing
        self._banned = np.nonzero(batch.banned) if batch.banned.any() else None
        self._scale = batch.scale if (batch.scale != 1).any() else None
        self._filters = batch.filters
        self._penalties = Penalties(batch, texts) if batch.penalized else None
        self._all_greedy = bool(batch.greedy.all())
        self._greedy = batch.greedy if batch.greedy.any() else None

    def draw_one(self, uniform: float) -> int:
        """The id for the one stream's `scores`, which are overwritten."""
        scores = self.scores
        self._lower()
        likeliest = scores.argmax()
        highest = scores[likeliest]
        if not -np.inf < highest < np.inf:
            raise not_numbers()
        if self._all_greedy:
            drawn = int(likeliest)
        else:
            self._cumulate(highest)
            drawn = int(scores.searchsorted(uniform * scores[-1], "right"))
        if self._penalties is not None:
            self._penalties.written([drawn])
        return drawn

    def draw(self, uniforms: Floats, ids: Ids) -> None:
        """The ids (N,) for `scores` (N, V), which are overwritten, at `uniforms` (N,)."""
        scores = self.scores
        self._lower()
        scores.argmax(1, ids)
        highest = scores[self._rows, ids][:, None]
        if not np.isfinite(highest).all():
            raise not_numbers()
        if not self._all_greedy:
            likeliest = None if self._greedy is None else ids[self._greedy]
            self._cumulate(highest)
            np.less_equal(scores, uniforms[:, None] * scores[:, -1:], self._reached)
            self._reached.sum(1, out=ids)
            if likeliest is not None:
                ids[self._greedy] = likeliest
        if self._penalties is not None:
            self._penalties.written(ids.tolist())

    def _lower(self) -> None:
        """Take out what is banned, and subtract the penalties."""
        if self._banned is not None:
            self._table[self._banned] = -np.inf
        if self._penalties is not None:
            self._penalties.subtract(self._table)

    def _cumulate(self, highest: npt.NDArray[np.float64]) -> None:
        """Turn `scores` into unnormalized cumulated probabilities."""
        scores, table = self.scores, self._table
        order = likeliest_first(scores) if self._filters else None
        np.subtract(scores, highest, scores)
        if self._scale is not None:
            np.multiply(table, self._scale, table)
        self._exp(scores, scores)
        if order is not None:
            if scores.ndim == 1:  # an index is faster than along an axis
                ranked = scores[order][None]
                scores[order] = filters.leave(ranked, self._filters)[0]
            else:
                ranked = scores[self._rows[:, None], order]
                scores[self._rows[:, None], order] = filters.leave(ranked, self._filters)
        np.add.accumulate(scores, -1, None, scores)


def not_numbers() -> RunError:
    """What a choice among logits that are infinite or no numbers ends with."""
    return RunError("the model's scores are not numbers: its weights are too large to compute with")
