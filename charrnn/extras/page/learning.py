"""The facts with which a page learns a text, and writes with its counts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from charrnn.counts import fitting, passages, run_lengths, table, words
from charrnn.counts.mixing import COUNTS_ONLY
from charrnn.extras.page.packing import COUNTS_CONSTANTS, MODEL_CONSTANTS
from charrnn.options.datasets import DEFAULT_SPLIT
from charrnn.options.sampling import SamplingParams
from charrnn.text import code, lists, prompt

MAX_CHARACTERS = 1_000_000  # a phone counts them in ten seconds


def list_learning_facts() -> dict[str, Any]:
    """Return the facts that `site/main-network.js` needs to learn a text."""
    facts = {
        "marks": prompt.KEYBOARD_MARKS,
        "curly": prompt.CURLY_QUOTES,
        "sampling": asdict(SamplingParams()),
    }
    return {
        "max_characters": MAX_CHARACTERS,
        "counting": list_counting_constants(),
        "model": {"facts": facts, "constants": MODEL_CONSTANTS},
    }


def list_counting_constants() -> dict[str, Any]:
    """Return Python's constants for counting, by the names that `site/network/learn.js` reads."""
    share, largest_split = DEFAULT_SPLIT
    return {
        "share": share,
        "largest_split": largest_split,
        "counts": {
            "discounts": table.DISCOUNTS,
            "discounts_below_top": table.DISCOUNTS_BELOW_TOP,
            "discounts_top": table.DISCOUNTS_TOP,
            "many": table.MANY,
            "max_context": passages.MAX_CONTEXT,
            "max_nodes": passages.MAX_NODES,
            "tried": passages.TRIED,
            "price": fitting.PRICE,
            "other_nodes": fitting.OTHER_NODES,
            "max_letters": words.MAX_LETTERS,
            "max_entries": words.MAX_ENTRIES,
            "max_run": run_lengths.MAX_RUN,
            "least_run": run_lengths.LEAST_RUN,
            "min_repeats": run_lengths.MIN_REPEATS,
        },
        "lists": {
            "head": lists.HEAD,
            "min_lines": lists.MIN_LINES,
            "min_different": lists.MIN_DIFFERENT,
            "max_words": lists.MAX_WORDS,
            "max_line_characters": lists.MAX_LINE_CHARACTERS,
            "max_unlike": lists.MAX_UNLIKE,
            "max_digits": lists.MAX_DIGITS,
        },
        "code": {
            "indented_share": code.INDENTED_SHARE,
            "signs_share": code.SIGNS_SHARE,
            "signs": "".join(sorted(code.SIGNS)),
        },
        "packed": {
            **COUNTS_CONSTANTS,
            "word_weights": COUNTS_ONLY.words,
            "pair_weights": COUNTS_ONLY.pairs,
        },
    }
