"""Recognize prose that is wrapped at a width, and join the lines of its paragraphs.

Only the width ends a line of wrapped prose: the next word would not have fit. So most line ends
inside paragraphs agree on one width, and the words beside them are like the words inside lines. The
lines of verse, lists, logs, code and tables end for other reasons, for example at the end of a
sentence, and they begin with capitals, digits or signs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from charrnn.text.kinds import is_code, take_head

MIN_ENDS = 30  # fewer line ends inside paragraphs are too few to tell
MIN_INSIDE = 0.4  # the least fraction of the lines that end inside a paragraph
MIN_GAPS = 4  # the least mean of gaps between words in a line; Chinese has hardly any
MIN_AGREEING = 0.85  # the least fraction of these line ends that agree on the width
SLACK = 6  # columns that may stay free, because some programs make lines of similar lengths
# The largest difference between two fractions: of signs before (or capitals, digits and signs
# after) line ends, and of the same between the words inside lines.
MAX_DIFFERENCE = 0.25
MAX_HIGH = 0.5  # the largest fraction of words that begin with a capital, a digit or a sign
MIN_FULL = 0.5  # the least fraction of full lines in a paragraph that is joined

WRAP_FACT = "wrap"  # "join" in an HDF5 file and in the facts of a model whose text was joined

_MARKS = "-–—*+•>|#=~_"  # of items, quoted mail, tables and headings
_NUMBER = re.compile(r"\d{1,3}[.)]|\w\)")
_WORD = re.compile(r"\w+(?:-\w+)*")
_AFTER_HYPHEN = re.compile(r"-(?<=\w-) (\w+)")  # as "oder" in "Haupt- oder Nebensatz"
_CUT_WORD = re.compile(r"([^\W\d_]+)-\n([^\W\d_]+)")
_CLOSED_DASH = re.compile(r"(?<=\w)(--|—)\n")


def get_wrap(facts: Mapping[str, Any]) -> str:
    """Return how a model reads a text, by its facts, which are not checked: join, or keep."""
    return "join" if facts.get(WRAP_FACT) == "join" else "keep"


def is_wrapped(text: str) -> bool:
    """Return whether a text is wrapped prose, by its first lines."""
    text = take_head(text)
    lines = [line.rstrip() for line in text.split("\n")]
    ends = _find_inner_ends(lines)
    if len(ends) < max(MIN_ENDS, MIN_INSIDE * sum(map(bool, lines))):
        return False
    _, num_agreeing = _find_width(ends.values())
    rows = [lines[i].split() for i in ends]
    around_ends = [(row[-1], lines[i + 1].split()[0]) for i, row in zip(ends, rows, strict=True)]
    inside_lines = [pair for row in rows for pair in pairwise(row)]
    signs, high = _measure_gaps(inside_lines)
    signs_at_ends, high_at_ends = _measure_gaps(around_ends)
    return (
        len(inside_lines) >= MIN_GAPS * len(ends)
        and num_agreeing >= MIN_AGREEING * len(ends)
        and abs(signs_at_ends - signs) <= MAX_DIFFERENCE
        and abs(high_at_ends - high) <= MAX_DIFFERENCE
        and high <= MAX_HIGH
        and not is_code(text)
    )


def join_lines(text: str) -> str:
    """Join the lines of each paragraph most of whose lines are full. All other lines stay."""
    lines = text.split("\n")
    bare = [line.rstrip() for line in lines]
    ends = _find_inner_ends(bare)
    width, _ = _find_width(ends.values())
    is_full = {i: width < widths.stop for i, widths in ends.items()}
    words = Counter(_WORD.findall(text.lower()))
    after_hyphen = {*_AFTER_HYPHEN.findall(text)}

    def join_word(cut: re.Match[str]) -> str:
        """Return a word without its hyphen if the text has it more often without it."""
        first, second = cut.groups()
        if words[(first + second).lower()] > words[f"{first}-{second}".lower()]:
            return first + second
        return f"{first}- {second}" if second in after_hyphen else f"{first}-{second}"

    joined, start = [], 0
    for end, line in enumerate(bare):
        # A short line that ends a sentence ends its paragraph.
        if end in is_full and (is_full[end] or line[-1].isalnum() or line[-1] in ",;-—"):
            continue
        paragraph = "\n".join((*bare[start:end], lines[end]))
        if end > start and sum(is_full[i] for i in range(start, end)) >= MIN_FULL * (end - start):
            if "-\n" in paragraph or "—\n" in paragraph:  # else the slow patterns find nothing
                paragraph = _CLOSED_DASH.sub(r"\1", _CUT_WORD.sub(join_word, paragraph))
            paragraph = paragraph.replace("\n", " ")
        joined.append(paragraph)
        start = end + 1
    return "\n".join(joined)


def _find_inner_ends(lines: Sequence[str]) -> dict[int, range]:
    """Return the lines that may end inside a paragraph, with the widths that agree with the end.

    A width agrees if the line has room in it, but not together with the first word of the next
    line. The next line is no item and is not indented.
    """
    ends = {}
    for i, (line, next_line) in enumerate(pairwise(lines)):
        if line and next_line and not next_line[0].isspace():
            word, _, rest = next_line.partition(" ")
            # Unlike the marks of items, a dash between words precedes a small letter, and the
            # number of a date after a word.
            is_marked = not word.strip(_MARKS) and not rest[:1].islower()
            is_numbered = bool(_NUMBER.fullmatch(word)) and not line[-1].isalnum()
            if not is_marked and not is_numbered:
                ends[i] = range(len(line), len(line) + 1 + len(word) + SLACK)
    return ends


def _find_width(ends: Iterable[range]) -> tuple[int, int]:
    """Return the width with which most line ends agree, and their number."""
    changes: Counter[int] = Counter()
    for widths in ends:
        changes[widths.start] += 1
        changes[widths.stop] -= 1
    positions = sorted(changes)
    agreeing = accumulate(changes[width] for width in positions)
    most, width = max(zip(agreeing, positions, strict=True), default=(0, 0))
    return width, most


def _measure_gaps(pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Return two fractions of the gaps between words, with the words before and after each gap.

    They are of signs before the gap, and of a capital, a digit or a sign after it.
    """
    num_signs = sum(not before[-1].isalnum() for before, _ in pairs)
    num_high = sum(after[0].isupper() or not after[0].isalpha() for _, after in pairs)
    return num_signs / max(1, len(pairs)), num_high / max(1, len(pairs))
