"""DRY: penalties for the characters that would repeat a sequence of the text.

DRY is from text-generation-webui, pull request 5677. If the last n characters,
`dry_allowed_length` or more, occur earlier in the text, the id that follows them there loses
``dry_multiplier * dry_base ** (n - dry_allowed_length)``. The longest n counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from charrnn.options.sampling import SamplingParams

LOOK_BACK = 16384  # characters that count; they bound the time for a character
LARGEST_PENALTY = 1e30  # the sum of all penalties is still finite


class DryPenalties:
    """The penalties of one text after ids."""

    def __init__(self, params: SamplingParams, ids: Sequence[int]) -> None:
        self._ids = np.array(ids[-LOOK_BACK:], np.int32)
        # For each id: how many characters before it equal the end of the text
        self._lengths = measure_matches(self._ids.tobytes())
        self._allowed = min(params.dry_allowed_length, LOOK_BACK)  # no match has this length
        factors = np.full(LOOK_BACK, params.dry_base, np.float64)
        factors[0] = params.dry_multiplier
        with np.errstate(over="ignore"):
            self._by_excess = np.minimum(np.multiply.accumulate(factors), LARGEST_PENALTY)

    def append(self, id_: int) -> None:
        """Append an id to the text."""
        lengths = (self._lengths + 1) * (self._ids == id_)
        self._lengths = np.concatenate([[0], lengths], dtype=np.int32)[-LOOK_BACK:]
        self._ids = np.concatenate([self._ids, [id_]], dtype=np.int32)[-LOOK_BACK:]

    def make_penalties(self, size: int) -> npt.NDArray[np.float64]:
        """Return the penalty (V,) of each of `size` ids, which is subtracted from its logit."""
        penalties, longest = np.zeros(size), np.zeros(size, np.int64)
        if len(places := np.flatnonzero(self._lengths >= self._allowed)):
            np.maximum.at(longest, self._ids[places], np.minimum(self._lengths[places], places))
            repeats = np.flatnonzero(longest >= self._allowed)
            penalties[repeats] = self._by_excess[longest[repeats] - self._allowed]
        return penalties


@lru_cache(maxsize=4)  # Many streams start after the same text.
def measure_matches(ids: bytes) -> npt.NDArray[np.int32]:
    """Return for each id of int32 (T,) how many ids before it equal the end of the text.

    This is the Z-algorithm (Gusfield 1997) on the reversed text; its time is linear.
    """
    text = np.frombuffer(ids, np.int32)[::-1].tolist()
    lengths, start, end = [0] * (len(text) + 1), 0, 0
    for place in range(1, len(text)):
        length = min(lengths[place - start], end - place) if place < end else 0
        while place + length < len(text) and text[place + length] == text[length]:
            length += 1
        if place + length > end:  # This match reaches further than all matches before it.
            start, end = place, place + length
        lengths[place] = length
    return np.array(lengths[:0:-1], np.int32)
