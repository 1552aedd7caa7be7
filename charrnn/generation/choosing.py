"""Choosing the next character from the network's logits.

The probabilities are the softmax at a temperature, cut down by top_k and then by top_p. A
choice is the inverse of their cumulated sum at one uniform number in [0, 1), so that the same
numbers give the same text in every engine, but for draws that fall within rounding of a
boundary. The sums are in float64: a vocabulary is short beside the
network, and float32 sums would move those boundaries a billion times as far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charrnn.errors import RunError

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

# The inverse of a temperature is held below this, so that no difference of float32 logits
# times it leaves the range of float64; at that heat everything but the likeliest is 0 anyway.
_COLDEST = 1e260


@dataclass(frozen=True)
class Choice:
    """How a character is chosen; the values are those that `GenerateOptions` admits.

    Attributes:
        temperature: divides the logits; 0 means always the likeliest character.
        top_k: choose among the k likeliest only.
        top_p: choose among the fewest likeliest that together have at least this
            probability (nucleus sampling, Holtzman et al. 2020), counted after the
            temperature and among those that top_k leaves.

    Of equally likely characters the one with the lower id counts as the likelier.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    @property
    def greedy(self) -> bool:
        """Whether the likeliest character is chosen always."""
        return self.temperature == 0 or self.top_k == 1

    @property
    def scale(self) -> float:
        """What the logits are multiplied with (unless `greedy`)."""
        return min(1 / self.temperature, _COLDEST)

    @property
    def restricted(self) -> bool:
        """Whether some characters are left out whatever their probability."""
        return self.top_k is not None or (self.top_p is not None and self.top_p < 1)


def likeliest_first(scores: Floats) -> Ids:
    """The ids by their scores (..., V). Heat makes weights equal, but not this order."""
    return np.argsort(-scores, axis=-1, kind="stable")


def _restrict(weights: Floats, order: Ids, choice: Choice) -> None:
    """Set to 0 the weights (..., V) of the characters that top_k and top_p leave out."""
    ranked = np.take_along_axis(weights, order, -1)
    if choice.top_k is not None:
        ranked[..., choice.top_k :] = 0
    if choice.top_p is not None:
        sums = ranked.cumsum(-1)
        reached = sums >= choice.top_p * sums[..., -1:]
        # the one that reaches top_p stays, all after it go
        ranked[..., 1:][reached[..., :-1]] = 0
    np.put_along_axis(weights, order, ranked, -1)


class Chooser:
    """Chooses for N streams at once, in buffers of its own.

    Write the logits into `scores` (N, V), or (V,) when N is 1, then call `choose`, or
    `choose_one`, which a single stream's speed rests on.
    """

    def __init__(self, choice: Choice, streams: int, vocabulary_size: int) -> None:
        shape = (vocabulary_size,) if streams == 1 else (streams, vocabulary_size)
        self.choice = choice
        self.scores = np.empty(shape)
        self._scale = None if choice.greedy or choice.scale == 1 else np.array(choice.scale)
        self._reached = np.empty(shape, bool)
        self._rows = np.arange(streams)

    def choose_one(self, uniform: float) -> int:
        """The id for the one stream's `scores`, which are overwritten."""
        scores = self.scores
        likeliest = scores.argmax()
        highest = scores[likeliest]
        if not -np.inf < highest < np.inf:
            raise not_numbers()
        if self.choice.greedy:
            return int(likeliest)
        self._cumulate(highest)
        return int(scores.searchsorted(uniform * scores[-1], "right"))

    def choose(self, uniforms: Floats, ids: Ids) -> None:
        """The ids (N,) for `scores` (N, V), which are overwritten, at `uniforms` (N,)."""
        scores = self.scores
        scores.argmax(1, ids)
        highest = scores[self._rows, ids][:, None]
        if not np.isfinite(highest).all():
            raise not_numbers()
        if self.choice.greedy:
            return
        self._cumulate(highest)
        np.less_equal(scores, uniforms[:, None] * scores[:, -1:], self._reached)
        self._reached.sum(1, out=ids)

    def _cumulate(self, highest: npt.NDArray[np.float64]) -> None:
        """Turn `scores` into the cumulated sums of what their probabilities are in parts of."""
        scores = self.scores
        ranking = likeliest_first(scores) if self.choice.restricted else None
        np.subtract(scores, highest, scores)
        if self._scale is not None:
            np.multiply(scores, self._scale, scores)
        np.exp(scores, scores)
        if ranking is not None:
            _restrict(scores, ranking, self.choice)
        np.add.accumulate(scores, -1, None, scores)


def not_numbers() -> RunError:
    """What a choice among logits that are infinite or no numbers ends with."""
    return RunError("the model's scores are not numbers: its weights are too large to compute with")
