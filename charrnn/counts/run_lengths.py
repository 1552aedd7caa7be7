"""The lengths of the runs of one character in a text, such as indentations.

A context of K characters does not tell how long a run already is, and a mixture of network and
counts writes blank pages. So in a run of K or more characters, and of 4 or more, the probability
that it continues is taken from the lengths of the text's runs:

    p(one more) = (runs longer than L + 0.9) / (runs of L or more + 1)

for a run of L characters so far, as if one more run had continued with a probability of 0.9. So a
length at which no run ended is no surprise of nine nats. Beyond the longest run, one more character
has a probability of 1/4. The model's probabilities are only used for the other characters.

From the longest run on, another character is always likelier than one more. Otherwise a greedy text
would never leave a run of a text with few of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import Floats, Ids, read_numbers

MAX_RUN = 65_535  # longer runs count as runs of this length
LEAST_RUN = 4  # no word repeats a character more often
MIN_REPEATS = 2  # characters of a text that must follow a run of the least length
# the probability with which one additional run continues, fitted on code, tables and prose
CONTINUES = 0.9
ODDS_BEYOND = np.float32(1 / 3)  # that a run continues that is longer than all known ones
MARGIN = np.float32(0.01)  # of the likeliest other character from the longest run on, in nats


class RunOdds(NamedTuple):
    """The places of a text that are in a run."""

    rows: Ids  # (R,), the numbers of the places, in ascending order
    characters: Ids  # (R,), the id of each run's character
    odds: Floats  # (R,), p / (1 - p), where p is the probability that the run continues
    may_end: npt.NDArray[np.bool_]  # (R,), whether no known run is longer

    def apply(self, scores: npt.NDArray[Any]) -> None:
        """Set the score of each run's character in scores (P, V), in place.

        The result is the logits with which each run continues with its probability, which is
        limited where `may_end`. The ratios between all other characters stay the same.
        """
        others, n = scores[self.rows], np.arange(len(self.rows))
        others[n, self.characters] = -np.inf
        highest = others.max(-1, keepdims=True)
        sums = np.exp(others - highest).sum(-1)
        continued = np.log(sums) + highest[:, 0] + np.log(self.odds)
        limited = np.minimum(continued, highest[:, 0] - MARGIN)
        scores[self.rows, self.characters] = np.where(self.may_end, limited, continued)


@dataclass(frozen=True)
class RunLengths:
    """How many runs of each length a text has, for the characters with long runs."""

    least: int  # the length from which a run counts, the larger of 4 and the context length K
    characters: npt.NDArray[np.int64]  # (R,), ids in ascending order
    lengths: npt.NDArray[np.int64]  # (R,), ascending for each character
    counts: npt.NDArray[np.int64]  # (R,), the number of runs of this character and length

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file."""
        names = ("characters", "lengths", "counts")
        return {f"run_{name}": getattr(self, name).astype(np.uint32) for name in names}

    @classmethod
    def from_arrays(
        cls, vocabulary_size: int, context: int, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> RunLengths:
        """Return the run lengths in a file. Raise ValueError or KeyError if they are invalid."""
        names = ("run_characters", "run_lengths", "run_counts")
        numbers = read_numbers(arrays, names, "runs")
        characters, lengths, counts = (array.astype(np.int64) for array in numbers)
        runs = cls(max(context, LEAST_RUN), characters, lengths, counts)
        if not (
            len(characters) == len(lengths) == len(counts)
            and (not len(characters) or 1 < vocabulary_size > characters.max())
            and (np.diff(runs._keys) > 0).all()
            and runs.least <= lengths.min(initial=runs.least)
            and lengths.max(initial=0) <= MAX_RUN
            and counts.min(initial=1) > 0
        ):
            raise ValueError("its runs are not valid")
        return runs

    @cached_property
    def _keys(self) -> npt.NDArray[np.int64]:
        return self.characters * (MAX_RUN + 1) + self.lengths

    @cached_property
    def odds(self) -> tuple[Floats, Floats]:
        """The odds (R,) that a run continues after each length, and after one just below it.

        The second are for lengths that no known run has.
        """
        sums = np.append(self.counts[::-1].cumsum()[::-1], 0)  # the runs from an entry to the end
        ends = np.searchsorted(self.characters, self.characters, "right")
        longer = sums[1:] - sums[ends]
        after = (longer + CONTINUES) / (self.counts + 1 - CONTINUES)
        below = (longer + self.counts + CONTINUES) / (1 - CONTINUES)
        return after.astype(np.float32), below.astype(np.float32)

    def find_odds(self, characters: Ids, lengths: Ids) -> RunOdds:
        """Return the places (P,) with runs of `least` characters or more, and their odds.

        Args:
            characters: (P,), the last character of each place.
            lengths: (P,), the number of equal characters that end there.
        """
        rows = np.flatnonzero(lengths >= self.least)
        rows = rows[np.isin(characters[rows], self.characters)]
        characters = characters[rows].astype(np.int64)
        keys = characters * (MAX_RUN + 1) + lengths[rows]
        firsts, ends = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        has_longer = ends < np.searchsorted(self.characters, characters, "right")
        is_known = firsts < ends  # whether the text has runs of exactly this length
        is_below = has_longer & ~is_known
        odds = np.full(len(rows), ODDS_BEYOND)
        for has_entry, of_entry in zip((is_known, is_below), self.odds, strict=True):
            odds[has_entry] = of_entry[firsts[has_entry]]
        return RunOdds(rows, characters, odds, ~has_longer)


def count_runs(texts: Sequence[Ids], vocabulary_size: int, context: int) -> RunLengths:
    """Count the runs of texts (n,), for counts with K = `context`.

    The runs of a character come from the first text that repeats it often enough.
    """
    least = max(context, LEAST_RUN)
    found: dict[int, npt.NDArray[np.int64]] = {}  # character, length and count (3, R)
    for ids in texts if vocabulary_size > 1 else ():
        firsts = np.flatnonzero(np.append(True, np.diff(ids) != 0)) if len(ids) else np.arange(0)
        lengths = np.diff(firsts, append=len(ids))
        is_long = lengths >= least
        characters, lengths = ids[firsts[is_long]], np.minimum(lengths[is_long], MAX_RUN)
        for character in set(characters.tolist()) - found.keys():
            of_character = lengths[characters == character]
            if (of_character - least).sum() >= MIN_REPEATS:
                pair = np.unique(of_character, return_counts=True)
                found[character] = np.stack([np.full(len(pair[0]), character), *pair])
    parts = [np.zeros((3, 0), np.int64), *(found[character] for character in sorted(found))]
    return RunLengths(least, *np.concatenate(parts, 1))
