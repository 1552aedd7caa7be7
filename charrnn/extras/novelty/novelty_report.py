"""Measure how much of a text is copied from the training text."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from charrnn.errors import shorten
from charrnn.text.vocabulary import as_bytes

_LENGTHS = (5, 10, 15, 20, 30, 40, 50)  # characters of the passages that are counted
_MAX_WORDS = 20  # new words in the report
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
    # for each of some lengths, the share of the text's passages of this length that the training
    # text contains
    copied: dict[int, float]
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
        if self.copied:
            lines.append("  passages of   " + "".join(f"{length:>8}" for length in self.copied))
            lines.append("  are copied    " + "".join(f"{x:>8.1%}" for x in self.copied.values()))
        if (longest := self.longest) is not None:
            length, shown = len(longest.text), shorten(_to_readable(longest.text))
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


def report_on(text: str, training: str) -> Report:
    """Measure how much of a text is copied from a training text.

    Bytes of a model of bytes are compared as characters.
    """
    copies = {n: _find_copies(text, training, n) for n in _LENGTHS if n <= len(text)}
    words = _find_words(text)
    if words and _to_readable(text).endswith(words[-1]):
        del words[-1]
    known = _find_training_words(training)
    return Report(
        characters=len(text),
        training_characters=len(training),
        copied={n: len(starts) / (len(text) - n + 1) for n, starts in copies.items()},
        longest=_find_longest(text, training, copies),
        words=len(words),
        new_words=list(dict.fromkeys(word for word in words if word.casefold() not in known)),
    )


def _find_copies(text: str, training: str, length: int) -> list[int]:
    """Return the starts of the passages of this length that the training text contains."""
    starts, ends = range(len(text) - length + 1), range(length, len(training) + 1)
    passages = {text[start : start + length] for start in starts}
    copied = passages.intersection(training[end - length : end] for end in ends)
    return [start for start in starts if text[start : start + length] in copied]


def _find_longest(text: str, training: str, copies: dict[int, list[int]]) -> Passage | None:
    """Return the first of the longest copies. `copies` has the starts of those of some lengths."""
    everywhere = [*range(len(text))]
    length, starts = max(((n, at) for n, at in copies.items() if at), default=(0, everywhere))
    longest = starts[0] if starts else 0
    for start in starts:
        while start + length < len(text) and text[start : start + length + 1] in training:
            longest, length = start, length + 1
    if not length:
        return None
    passage = text[longest : longest + length]
    place = training.find(passage)
    return Passage(passage, longest, place, training.count("\n", 0, place) + 1)


@functools.lru_cache(maxsize=1)
def _find_training_words(training: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _find_words(training))


def _find_words(text: str) -> list[str]:
    """Return the words of a text: letters, with apostrophes between them."""
    return _WORD.findall(_to_readable(text))


def _to_readable(text: str) -> str:
    """Return a text in which bytes, written as surrogates, are decoded as UTF-8 if possible."""
    return as_bytes(text).decode("utf-8", "surrogateescape")
