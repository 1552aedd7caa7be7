"""Measure how much of a text is copied from the training text."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charrnn.extras.novelty.training_text import TrainingText
from charrnn.text.vocabulary import as_bytes

MAX_LENGTH = 50  # characters; longer substrings are not counted
_TABLE_LENGTHS = (5, 10, 15, 20, 30, 40, 50)
_MAX_WORDS, _MAX_SHOWN = 20, 300  # new words, and characters of the longest copy, in the report
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Passage:
    """A passage that both a text and the training text contain."""

    text: str  # the passage
    start: int  # its position in the text, from 0
    place: int  # its first position in the training text, from 0
    line: int  # the line of that position, from 1


@dataclass(frozen=True)
class Report:
    """Numbers on how much of a text is copied."""

    characters: int  # the length of the text
    training_characters: int  # the length of the training text
    # for each length from 1 up to `MAX_LENGTH`, the share of the text's substrings of this length
    # that the training text contains
    copied: list[float]
    longest: Passage | None  # the first of the longest passages that the training text contains
    words: int  # the number of words, without a last word that may be cut off
    # the distinct words that the training text does not contain in any case, in the order of the
    # text
    new_words: list[str]

    def __str__(self) -> str:
        lines = [
            f"novelty: {self.characters:,} characters, compared with "
            f"{self.training_characters:,} characters of training text"
        ]
        if lengths := [length for length in _TABLE_LENGTHS if length <= len(self.copied)]:
            shares = [f"{self.copied[length - 1]:.1%}" for length in lengths]
            lines.append("  passages of   " + "".join(f"{length:>8}" for length in lengths))
            lines.append("  are copied    " + "".join(f"{share:>8}" for share in shares))
        if (longest := self.longest) is not None:
            length = len(longest.text)
            shown, half = _to_readable(longest.text), _MAX_SHOWN // 2
            if len(shown) > _MAX_SHOWN:
                shown = f"{shown[:half]} ... {shown[-half:]}"
            lines += [
                f"  longest copy  {length:,} characters, from position {longest.start:,}",
                f"  copied from   line {longest.line:,}, characters {longest.place:,} to "
                f"{longest.place + length:,}",
                f"                {shown!r}",
            ]
        if self.words:
            shown_words = self.new_words[:_MAX_WORDS]
            shown_words += ["..."] * (len(self.new_words) > _MAX_WORDS)
            listing = f": {', '.join(shown_words)}" if shown_words else ""
            lines.append(f"  new words     {len(self.new_words):,} of {self.words:,}{listing}")
        return "\n".join(lines)


def report_on(text: str, training: TrainingText) -> Report:
    """Measure how much of a text is copied. A text of bytes is compared as bytes."""
    matches = training.find_longest_matches(text)
    lengths = range(1, min(MAX_LENGTH, len(text)) + 1)
    words = _find_words(text)
    if words and _to_readable(text).endswith(words[-1]):
        del words[-1]
    known = _find_training_words(training)
    return Report(
        characters=len(text),
        training_characters=len(training.text),
        copied=[float((matches[length - 1 :] >= length).mean()) for length in lengths],
        longest=_find_longest(text, matches, training),
        words=len(words),
        new_words=list(dict.fromkeys(word for word in words if word.casefold() not in known)),
    )


def _find_longest(
    text: str, matches: npt.NDArray[np.int64], training: TrainingText
) -> Passage | None:
    length = int(matches.max(initial=0))
    if not length:
        return None
    start = int(matches.argmax()) + 1 - length
    passage = text[start : start + length]
    place = training.text.find(passage)
    line = training.text.count("\n", 0, place) + 1
    return Passage(passage, start, place, line)


@functools.lru_cache(maxsize=1)
def _find_training_words(training: TrainingText) -> frozenset[str]:
    return frozenset(word.casefold() for word in _find_words(training.text))


def _find_words(text: str) -> list[str]:
    """Return the words of a text: letters, with apostrophes between them."""
    return _WORD.findall(_to_readable(text))


def _to_readable(text: str) -> str:
    """Return a text in which bytes, written as surrogates, are decoded as UTF-8 if possible."""
    return as_bytes(text).decode("utf-8", "surrogateescape")
