"""The facts with which a page learns a text, and writes with its counts."""

from __future__ import annotations

from typing import Any

from charrnn.counts import fitting, passages, run_lengths, table, words
from charrnn.counts.mixing import COUNTS_ONLY
from charrnn.extras.page.packing import COUNTS_CONSTANTS, describe_sampling, read_constants
from charrnn.options.datasets import DEFAULT_SPLIT
from charrnn.text import code, lists, punctuation, wrap

MAX_CHARACTERS = 1_000_000  # a phone counts them in ten seconds


def list_learning_facts() -> dict[str, Any]:
    """Return the facts that `site/network/model.js` needs to learn a text."""
    return {
        "max_characters": MAX_CHARACTERS,
        "counting": list_counting_constants(),
        "model": describe_sampling(),
    }


def list_counting_constants() -> dict[str, Any]:
    """Return Python's constants for counting, by the names that `site/network/learn.js` reads."""
    share, largest_split = DEFAULT_SPLIT
    return {
        "share": share,
        "largest_split": largest_split,
        "counts": {
            **read_constants(table, "DISCOUNTS", "DISCOUNTS_TOP"),
            **read_constants(passages, "MAX_CONTEXT", "MAX_NODES", "TRIED"),
            **read_constants(fitting, "PRICE", "OTHER_NODES"),
            **read_constants(words, "MAX_LETTERS", "MAX_ENTRIES"),
            **read_constants(run_lengths, "MAX_RUN", "LEAST_RUN", "MIN_REPEATS"),
        },
        "lists": {
            **read_constants(lists, "HEAD", "MIN_LINES", "MIN_DIFFERENT", "MAX_WORDS"),
            **read_constants(lists, "MAX_LINE_CHARACTERS", "MAX_UNLIKE", "MAX_DIGITS"),
        },
        "code": {
            **read_constants(code, "INDENTED_SHARE", "SIGNS_SHARE"),
            "signs": "".join(sorted(code.SIGNS)),
        },
        "wrap": {
            **read_constants(wrap, "MIN_ENDS", "MIN_INSIDE", "MIN_GAPS", "MIN_AGREEING", "SLACK"),
            **read_constants(wrap, "MAX_DIFFERENCE", "MAX_HIGH", "MIN_FULL"),
        },
        "punctuation": read_constants(
            punctuation, "PAIRS", "MAX_READ", "MIN_QUOTED", "MAX_OPEN", "MIN_ENDS", "MAX_SHARE"
        ),
        "packed": {
            **COUNTS_CONSTANTS,
            "word_weights": COUNTS_ONLY.words,
            "pair_weights": COUNTS_ONLY.pairs,
        },
    }
