"""The end of a sentence."""

from __future__ import annotations

import re

# Before these marks and a blank, a sentence ends: of Latin, Greek and Cyrillic, Arabic, Urdu,
# Armenian, Hindi, Ethiopic, Burmese and Khmer.
SPACED_MARKS = ".!?…؟۔։।॥።፧။។"
# After these marks, of Chinese and Japanese, a sentence ends without a blank.
UNSPACED_MARKS = "。．！？｡"
MARKS = SPACED_MARKS + UNSPACED_MARKS
# The closing quotes and brackets that may follow the marks. Before a blank, “ and « close too.
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
