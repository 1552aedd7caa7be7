"""Quotes: below a temperature of 1, no paragraph ends within a quote or a bracket.

A model forgets that a quote is open. Where the quotes of its text close, the mark that
closes the last opened quote gets the probability of a newline, and no mark is written that neither
opens nor closes one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charrnn.generation.debts import NEWLINE, Floats
from charrnn.generation.new_words import NEVER
from charrnn.text.punctuation import may_come
from charrnn.text.vocabulary import Vocabulary


class Quotes:
    """The open quotes of a text.

    Args:
        pairs: the marks of quotes that close.
        text: the ids so far.
    """

    def __init__(self, vocabulary: Vocabulary, pairs: Sequence[str], text: Sequence[int]) -> None:
        self.characters = vocabulary.characters
        self.pairs = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
        marks = NEWLINE + "".join(self.pairs)
        self.ids = dict(zip(marks, vocabulary.look_up(marks).tolist(), strict=True))
        self.open: tuple[str, ...] = ()  # pairs, in the order of their openings
        self.before = NEWLINE
        for id_ in text:
            self.append(id_)

    def append(self, id_: int) -> None:
        """Append an id to the text."""
        character = self.characters[id_]
        if character == NEWLINE:
            self.open = ()
        elif character in self.ids:
            for pair in self.pairs:
                if character in pair and may_come(pair, pair in self.open, self.before, character):
                    others = tuple(other for other in self.open if other != pair)
                    self.open = others if pair in self.open else (*others, pair)
        self.before = character

    def close(self, scores: Floats) -> None:
        """Move the newline's probability in scores (V,), and lower those of misplaced marks."""
        newline = self.ids[NEWLINE]
        if self.open and newline >= 0:
            closing = self.ids[self.open[-1][1]]
            if scores[closing] > -np.inf:  # else it is banned
                scores[closing] = np.logaddexp(scores[closing], scores[newline])
            scores[newline] -= NEVER
        for pair in self.pairs:
            for mark in dict.fromkeys(pair):
                if not may_come(pair, pair in self.open, self.before, mark):
                    scores[self.ids[mark]] -= NEVER
