"""An n-gram model that counts: what a recurrent network is compared with.

It is interpolated by Witten and Bell's rule (1991, method C; Chen and Goodman, 1999, section
2.5). After a context h of k characters, which the text has c(h) times, followed by t(h)
different characters,

    p(x | h) = (c(hx) + t(h) p(x | h')) / (c(h) + t(h))

where h' is h without its first character, and p(x) without a context goes on to 1 / V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charrnn.data import Ids

_Keys = npt.NDArray[np.uint64]
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing


@dataclass(frozen=True)
class _Counts:
    """What follows the contexts of one length.

    Attributes:
        contexts: (C,) sorted keys; totals, kinds: (C,), c(h) and t(h).
        pairs: (P,) sorted keys of a context and a character; counts: (P,), c(hx).
    """

    contexts: _Keys
    totals: npt.NDArray[np.float64]
    kinds: npt.NDArray[np.float64]
    pairs: _Keys
    counts: npt.NDArray[np.float64]


class NGram:
    """An n-gram model of a text.

    Args:
        ids: (n,) from 0, n >= 1.
        order: the longest context has one character less.
    """

    def __init__(self, ids: Ids, vocabulary_size: int, order: int) -> None:
        self.order = order
        self._vocabulary_size = vocabulary_size
        self._levels = [_count(ids, k) for k in range(min(order, len(ids)))]

    def losses(self, ids: Ids) -> npt.NDArray[np.float64]:
        """-ln p of each character of a text.

        Args:
            ids: (n,) from 0.

        Returns:
            (order, n): with a context of at most so many characters. Where fewer stand before
            a character, those are its context.
        """
        p = np.full(len(ids), 1 / self._vocabulary_size)
        found = np.empty((self.order, len(ids)))
        for k in range(self.order):
            if k < len(self._levels) and k < len(ids):
                level, (contexts, pairs) = self._levels[k], _keys(ids, k)
                total, kinds = _at(level.contexts, contexts, level.totals, level.kinds)
                (count,) = _at(level.pairs, pairs, level.counts)
                longer = np.where(total > 0, count + kinds * p[k:], p[k:])
                p[k:] = longer / np.where(total > 0, total + kinds, 1)
            found[k] = -np.log(p)
        return found


def _count(ids: Ids, k: int) -> _Counts:
    contexts, pairs = _keys(ids, k)
    pairs, first, counts = np.unique(pairs, return_index=True, return_counts=True)
    contexts, of, kinds = np.unique(contexts[first], return_inverse=True, return_counts=True)
    totals = np.bincount(of, counts).astype(np.float64)
    return _Counts(contexts, totals, kinds.astype(np.float64), pairs, counts.astype(np.float64))


def _keys(ids: Ids, k: int) -> tuple[_Keys, _Keys]:
    """Keys (n - k,) of the k characters before each from the k-th on, and of these with it.

    They are hashes of 64 bits: among a million, two are the same once in many million texts.
    """
    symbols = ids.astype(np.uint64) + np.uint64(1)
    contexts = np.zeros(len(ids) - k, np.uint64)
    for back in range(k):
        contexts = _mixed(contexts, symbols[back : len(ids) - k + back])
    return contexts, _mixed(contexts, symbols[k:])


def _mixed(keys: _Keys, symbols: _Keys) -> _Keys:
    mixed = (keys + symbols) * _MULTIPLIER
    return mixed ^ (mixed >> np.uint64(29))


def _at(sorted_keys: _Keys, keys: _Keys, *values: np.ndarray) -> list[np.ndarray]:
    """The values of keys among sorted ones, 0 where they are missing."""
    places = np.searchsorted(sorted_keys, keys).clip(max=len(sorted_keys) - 1)
    there = sorted_keys[places] == keys
    return [np.where(there, value[places], 0.0) for value in values]
