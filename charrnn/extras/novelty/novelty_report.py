"""How much of a text is copied from the training text, in numbers."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charrnn.text.training_text import TrainingText
from charrnn.text.vocabulary import readable

LONGEST = 50  # characters, of the substrings that are counted
_LENGTHS = (5, 10, 15, 20, 30, 40, 50)  # of those in the table
_WORDS, _CHARACTERS = 20, 300  # at most, of the new words and of the longest copy
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Passage:
    """A passage that a text has in common with the training text.

    Attributes:
        text: the passage itself.
        start: its first character in the text that was looked at, from 0.
        place: its first character where the training text first has it, from 0.
        line: the line of the training text in which that character stands, from 1.
    """

    text: str
    start: int
    place: int
    line: int


@dataclass(frozen=True)
class Report:
    """What a text has from the training text.

    Attributes:
        characters: of the text.
        training_characters: of the training text.
        copied: the share of the text's substrings of 1, 2, ... up to `LONGEST` characters that
            stand in the training text, as far as the text has any of that length.
        longest: the longest passage that stands there too, the first of several.
        words: how many the text has, without one that it ends in: it may have been cut off.
        new_words: those of them that the training text does not have, whatever their case,
            each once, in the text's order.
    """

    characters: int
    training_characters: int
    copied: list[float]
    longest: Passage | None
    words: int
    new_words: list[str]

    def __str__(self) -> str:
        lines = [
            f"novelty: {self.characters:,} characters beside {self.training_characters:,} of the "
            f"training text"
        ]
        if lengths := [length for length in _LENGTHS if length <= len(self.copied)]:
            shares = [f"{self.copied[length - 1]:.1%}" for length in lengths]
            lines.append("  passages of   " + "".join(f"{length:>8}" for length in lengths))
            lines.append("  are copied    " + "".join(f"{share:>8}" for share in shares))
        if (longest := self.longest) is not None:
            length = len(longest.text)
            shown, half = readable(longest.text), _CHARACTERS // 2
            if len(shown) > _CHARACTERS:
                shown = f"{shown[:half]} ... {shown[-half:]}"
            lines += [
                f"  longest copy  {length:,} characters, from {longest.start:,} on",
                f"  stands in     line {longest.line:,}, characters {longest.place:,} to "
                f"{longest.place + length:,}",
                f"                {shown!r}",
            ]
        if self.words:
            several = self.new_words[:_WORDS] + ["..."] * (len(self.new_words) > _WORDS)
            named = f": {', '.join(several)}" if several else ""
            lines.append(f"  new words     {len(self.new_words):,} of {self.words:,}{named}")
        return "\n".join(lines)


def report_on(text: str, training: TrainingText) -> Report:
    """Measure how novel a text is.

    Args:
        text: in the characters of the training text; of a model of bytes, its bytes.
    """
    matches = training.longest_matches(text)
    lengths = range(1, min(LONGEST, len(text)) + 1)
    words = _words(text)
    if words and readable(text).endswith(words[-1]):
        del words[-1]
    old = _words_of(training)
    return Report(
        characters=len(text),
        training_characters=len(training.text),
        copied=[float((matches[length - 1 :] >= length).mean()) for length in lengths],
        longest=_longest(text, matches, training),
        words=len(words),
        new_words=list(dict.fromkeys(word for word in words if word.casefold() not in old)),
    )


def _longest(text: str, matches: npt.NDArray[np.int64], training: TrainingText) -> Passage | None:
    length = int(matches.max(initial=0))
    if not length:
        return None
    start = int(matches.argmax()) + 1 - length
    passage = text[start : start + length]
    place = training.text.find(passage)
    line = training.text.count("\n", 0, place) + 1
    return Passage(passage, start, place, line)


@functools.lru_cache(maxsize=1)
def _words_of(training: TrainingText) -> frozenset[str]:
    return frozenset(word.casefold() for word in _words(training.text))


def _words(text: str) -> list[str]:
    """Letters, and apostrophes between them."""
    return _WORD.findall(readable(text))
