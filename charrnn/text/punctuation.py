"""The marks of a text: where a sentence ends, how often sentences end, and which quotes close."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

# A sentence ends with these marks before a blank: those of Latin, Greek and Cyrillic, Arabic, Urdu,
# Armenian, Hindi, Ethiopic, Burmese and Khmer.
SPACED_MARKS = ".!?…؟۔։।॥።፧။។"
# A sentence ends with these marks, of Chinese and Japanese, without a blank.
UNSPACED_MARKS = "。．！？｡"
MARKS = SPACED_MARKS + UNSPACED_MARKS
# The closing quotes and brackets that may follow the marks; “ and « close before a blank only.
SPACED_CLOSING, UNSPACED_CLOSING = "\"'”’“‘»«›‹)]", '"”’»」』）'
# No sentence ends after these words and a period, after one letter (J., z. B.) or after a number of
# at most two digits (am 3. Mai), nor after another word of at most three letters before a small
# letter or a digit (usw. und).
ABBREVIATIONS = ("Mr", "Mrs", "Ms", "Dr", "St", "Prof", "Hr", "Fr", "Nr", "Sr", "Sra", "vgl", "bzw")
_LETTER = r"[^\W\d_]"
_NO_ENDS = (_LETTER, r"\d", r"\d\d", *ABBREVIATIONS)
# of Latin, Greek, Cyrillic and Armenian
_SMALL = "".join(c for c in map(chr, range(0x590)) if c.islower())
_PERIOD = (
    "".join(rf"(?<!\b{word})" for word in _NO_ENDS)
    + rf"(?:(?<!\b{_LETTER}{{2}})(?<!\b{_LETTER}{{3}})\.|\.(?!\s+[{_SMALL}\d]))"
)
SENTENCE_END = (
    rf"(?:(?:{_PERIOD}|[{SPACED_MARKS.replace('.', '')}])[{SPACED_MARKS}]*"
    rf"[{re.escape(SPACED_CLOSING)}]*(?:[ \xa0\u202f]»)?(?=\s|$)"  # French has a blank before »
    rf"|[{UNSPACED_MARKS}]+[{UNSPACED_CLOSING}]*)"
)

PUNCTUATION_FACT = "punctuation"  # its key in a model's facts
# opening and closing marks
PAIRS = ('""', "“”", "„“", "„”", "»«", "«»", "「」", "《》", "()", "（）")
MAX_READ = 1 << 17  # characters of a text that are enough
MIN_QUOTED = 3  # paragraphs with a mark of a pair
MAX_OPEN = 0.1  # the share of these that may end open
MIN_ENDS = 0.5  # the share of a mark that is not followed by a letter or digit, as the dot in code
# The largest share of a mark in prose. In a text with shorter sentences, such as Chinese verse, the
# place of a mark follows from its line, as the model knows.
MAX_SHARE = 1 / 30


class Punctuation(NamedTuple):
    """How a text uses its marks."""

    shares: Mapping[str, float]  # of marks that end sentences, among all characters
    pairs: list[str]  # whose quotes close


NO_PUNCTUATION = Punctuation({}, [])  # nothing is known


def may_come(pair: str, is_open: bool, before: str, mark: str) -> bool:
    """Return whether a mark of a pair opens or closes a quote after the character before it.

    A mark that does both closes none after a blank, and opens none directly after a sentence.
    """
    if pair[0] != pair[1]:
        return mark == pair[is_open]
    return before != " " if is_open else before not in MARKS


def describe_punctuation(text: str) -> dict[str, Any]:
    """Return the fields of a text's `Punctuation`, for a model's facts."""
    shares = {}
    for mark in MARKS:
        number = text.count(mark)
        ends = re.findall(rf"[{mark}](?![^\W_])", text)
        is_end = mark in UNSPACED_MARKS or len(ends) >= MIN_ENDS * number
        if is_end and 0 < number <= MAX_SHARE * len(text):
            shares[mark] = number / len(text)
    lines = text.split("\n")
    return {"shares": shares, "pairs": [pair for pair in PAIRS if _closes(pair, lines)]}


def _closes(pair: str, lines: list[str]) -> bool:
    """Return whether the quotes of a pair close in a text.

    They do if most paragraphs (lines) with one of the marks end outside of a quote, and close none
    that is not open. A speech that opens a quote in each of its paragraphs, but closes it only in
    the last, does not.
    """
    num_open, quoted = 0, [line for line in lines if pair[0] in line or pair[1] in line]
    for line in quoted:
        is_open, closes_none, before = False, False, "\n"
        for character in line:
            if character in pair:
                comes = may_come(pair, is_open, before, character)
                closes_none |= not comes and not is_open
                is_open = is_open != comes
            before = character
        num_open += is_open or closes_none
    return len(quoted) >= MIN_QUOTED and num_open <= MAX_OPEN * len(quoted)


def get_punctuation(facts: Mapping[str, Any]) -> Punctuation:
    """Return the punctuation in a model's facts, which are not checked; the rest of it is empty."""
    fact = facts.get(PUNCTUATION_FACT)
    fact = fact if isinstance(fact, dict) else {}
    shares, pairs = fact.get("shares"), fact.get("pairs")
    shares = shares if isinstance(shares, dict) else {}
    are_valid = all(type(share) is float and 0 <= share <= 1 for share in shares.values())
    return Punctuation(
        shares if are_valid else {},
        [pair for pair in PAIRS if isinstance(pairs, list) and pair in pairs],
    )
