"""The end of a sentence."""

from __future__ import annotations

import re

# Before these marks and a blank, a sentence ends: of Latin, Greek and Cyrillic, Arabic, Urdu,
# Armenian, Hindi, Ethiopic, Burmese and Khmer.
SPACED_MARKS = ".!?…؟۔։।॥።፧။។"
# After these marks, of Chinese and Japanese, a sentence ends without a blank.
UNSPACED_MARKS = "。．！？｡"
MARKS = SPACED_MARKS + UNSPACED_MARKS
# the closing quotes and brackets that may follow the marks
SPACED_CLOSING, UNSPACED_CLOSING = "\"'”’»)]", '"”’»」』）'
# A period after fewer than four letters may belong to an abbreviation.
SENTENCE_END = (
    rf"(?:[^\s.]{{4}}[{SPACED_MARKS}]+[{re.escape(SPACED_CLOSING)}]*(?=\s)"
    rf"|[{UNSPACED_MARKS}]+[{UNSPACED_CLOSING}]*)"
)
