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

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.table import Arrays, Table
from charrnn.counts.tries import Floats, Ids, Nodes

MAX_RUN = 255  # longer runs count as runs of this length
LEAST_RUN = 4  # no word repeats a character more often
MIN_REPEATS = 2  # characters of a text that must follow a run of the least length
# the probability with which one additional run continues, fitted on code, tables and prose
CONTINUES = 0.9
ODDS_BEYOND = np.float32(1 / 3)  # that a run continues that is longer than all known ones
MARGIN = np.float32(0.01)  # of the likeliest other character from the longest run on, in nats


@dataclass(frozen=True)
class RunLengths(Table):
    """How many runs of each length a text has, for the characters with long runs."""

    title, prefix = "runs", "run_"
    columns = ("characters", "counts")

    least: int  # the length from which a run counts, the larger of 4 and the context length K
    characters: Nodes  # (R,), ids in ascending order
    counts: Nodes  # (R, MAX_RUN + 1), the number of runs of each character and length

    @classmethod
    def from_arrays(cls, vocabulary_size: int, context: int, arrays: Arrays) -> RunLengths:
        """Return the run lengths in a file. Raise ValueError or KeyError if they are invalid."""
        characters, counts = cls.read_columns(arrays)
        least = max(context, LEAST_RUN)
        if not (
            len(counts) == len(characters) * (MAX_RUN + 1)
            and (not len(characters) or 1 < vocabulary_size > characters.max())
            and (np.diff(characters) > 0).all()
        ):
            raise ValueError("its runs are not valid")
        runs = cls(least, characters, counts.reshape(-1, MAX_RUN + 1))
        if runs.counts[:, :least].any() or not runs.counts.any(1).all():
            raise ValueError("its runs are not valid")
        return runs

    @cached_property
    def odds(self) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The odds p / (1 - p) (R, MAX_RUN + 1) that a run continues after each length.

        The second array is whether no run is longer.
        """
        counts = self.counts.astype(np.int64)
        num_longer = counts[:, ::-1].cumsum(1)[:, ::-1] - counts
        may_end = num_longer == 0
        odds = (num_longer + CONTINUES) / (counts + 1 - CONTINUES)
        odds[may_end & (counts == 0)] = ODDS_BEYOND
        return odds.astype(np.float32), may_end

    def find_odds(self, characters: Ids, lengths: Ids) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return the odds (P,) of the runs at some places, 0 outside of runs, and `may_end` (P,).

        Args:
            characters: (P,), the last character of each place.
            lengths: (P,), the number of equal characters that end there.
        """
        found = np.zeros(len(lengths), np.float32), np.zeros(len(lengths), bool)
        rows = np.flatnonzero((lengths >= self.least) & np.isin(characters, self.characters))
        entries = np.searchsorted(self.characters, characters[rows]), lengths[rows]
        for values, of_lengths in zip(found, self.odds, strict=True):
            values[rows] = of_lengths[entries]
        return found


def continue_runs(
    logits: npt.NDArray[Any], characters: Ids, odds: Floats, may_end: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """Return the logits (R, V) with which each run continues with its odds (R,).

    The ratios between all characters but that of the run (R,) stay the same.
    """
    logits, n = logits.copy(), np.arange(len(logits))
    logits[n, characters] = -np.inf
    highest = logits.max(-1)
    continued = np.log(np.exp(logits - highest[:, None]).sum(-1)) + highest + np.log(odds)
    limited = np.minimum(continued, highest - MARGIN)
    logits[n, characters] = np.where(may_end, limited, continued)
    return logits


def count_runs(ids: Ids, vocabulary_size: int, context: int) -> RunLengths:
    """Count the runs of a text (n,), for counts with K = `context`."""
    least = max(context, LEAST_RUN)
    firsts = np.flatnonzero(np.diff(ids, prepend=-1))
    lengths = np.diff(firsts, append=len(ids))
    is_long = lengths >= least
    characters, lengths = ids[firsts[is_long]], lengths[is_long]
    num_repeats = np.bincount(characters, lengths - least, vocabulary_size)
    # A text of one character has no other that could end a run.
    repeated = np.flatnonzero((num_repeats >= MIN_REPEATS) & (vocabulary_size > 1))
    counts = np.zeros((len(repeated), MAX_RUN + 1), np.int32)
    for of_character, character in zip(counts, repeated, strict=True):
        np.add.at(of_character, np.minimum(lengths[characters == character], MAX_RUN), 1)
    return RunLengths(least, repeated.astype(np.int32), counts)
