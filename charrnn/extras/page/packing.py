"""Pack a model for a page, and list the facts with which a page learns a text.

A packed model is a length, a header in JSON of this length, and arrays, all compressed.

The header has the vocabulary, facts, the constants of the formulas, and the names, types and
lengths of the arrays; `site/network/packed.js` reads it. The network's weights are folded.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts import fitting, pairs, passages, run_lengths, table, words
from charrnn.counts.mixing import COUNTS_ONLY, Counts
from charrnn.data import get_corpus_name, read_training_text
from charrnn.errors import InputError
from charrnn.extras.page.rounding import RoundedModel, choose_precision, quantize_rows
from charrnn.extras.page.single_file import SITE
from charrnn.generation import debts, draw, dry, new_words
from charrnn.generation.numpy_network import FoldedWeights
from charrnn.models.trained import TrainedModel
from charrnn.options.datasets import DEFAULT_SPLIT, SPLITS
from charrnn.options.sampling import SamplingParams
from charrnn.runs.model_lookup import read_model
from charrnn.text import kinds, punctuation, wrap
from charrnn.text.prompt import CURLY_QUOTES, KEYBOARD_MARKS, encode_primer, get_primer
from charrnn.text.punctuation import MARKS, get_punctuation

Arrays = dict[str, npt.NDArray[Any]]
LICENCE = "Made with charrnn (MIT licence)"

# This file has one step function for each kind of cell.
_CELLS = SITE / "network" / "cells.js"
_STEP = re.compile(r"^  (\w+)\(kernel\b", re.MULTILINE)
_MAX_LINES = 50_000


def read_constants(module: ModuleType, *names: str) -> dict[str, Any]:
    """Return constants of a module, by their names in small letters, as JavaScript reads them."""
    return {name.lower(): getattr(module, name) for name in names}


# of the formulas that a page computes too
MODEL_CONSTANTS = {
    **read_constants(draw, "COLDEST", "RUN_LENGTH"),
    **read_constants(dry, "LOOK_BACK", "LARGEST_PENALTY"),
    **read_constants(debts, "LOWEST", "HIGHEST", "PAYBACK", "LARGEST_PAYBACK"),
    **read_constants(new_words, "NEVER", "COLD", "COLD_FACTOR"),
    "ends": debts.NEWLINE + MARKS,
}
# of the formulas of counts
COUNTS_CONSTANTS = {
    **read_constants(run_lengths, "MAX_RUN", "CONTINUES"),
    "odds_beyond": float(run_lengths.ODDS_BEYOND),
    "margin": float(run_lengths.MARGIN),
    "word_discount": words.DISCOUNT,
    "pair_discount": pairs.DISCOUNT,
    "max_marks": pairs.MAX_MARKS,
}


def require_page_support(model: TrainedModel) -> None:
    """Raise InputError if a page cannot run a model of this kind."""
    supported = _STEP.findall(_CELLS.read_text(encoding="utf-8"))
    if (kind := model.architecture.kind) not in supported:
        raise InputError(
            f"output: a page cannot run kind {kind}; it can run {', '.join(supported)}"
        )


def choose_title(model: TrainedModel, title: str | None = None) -> str:
    """Return the title of a model: the given one, or the name of its training text."""
    return title or get_corpus_name(model.facts) or "charrnn"


def pack_file(path: Path) -> bytes:
    """Return the packed model of a file, for a server."""
    model = read_model(path)
    require_page_support(model)
    return pack_model(choose_precision(model))


def pack_model(chosen: RoundedModel, title: str | None = None, licence: str = LICENCE) -> bytes:
    """Return a packed model.

    Args:
        title: see `choose_title`.
        licence: a line for the page.
    """
    model, counts = chosen.model, chosen.model.counts
    about = {
        "title": choose_title(model, title),
        "licence": licence,
        "is_code": kinds.is_code(get_primer(model.facts)),
        "is_list": model.facts.get(kinds.LIST_MARK) is True,
    }
    header = {
        **describe_sampling(),
        "about": about,
        "vocabulary": model.vocabulary.to_dict(),
        "primer": list(encode_primer(model.facts, model.vocabulary)),
        "punctuation": get_punctuation(model.facts)._asdict(),
        "network": None,
        "counts": None if counts is None else describe_counts(counts),
    }
    arrays = _list_lines(model) | ({} if counts is None else counts.to_arrays())
    if counts is None or counts.needs_network:
        cell = model.architecture.cell
        header["network"] = {
            "architecture": asdict(model.architecture),
            **{name: getattr(cell, name) for name in ("gates", "carried", "separate_sums")},
        }
        arrays |= list_weights(chosen.weights, chosen.bits)
    return pack(header, arrays)


def pack(header: dict[str, Any], arrays: Arrays) -> bytes:
    """Return a header and arrays as `unpack` of `site/network/packed.js` reads them."""
    described = [(name, array.dtype.name, array.size) for name, array in arrays.items()]
    text = json.dumps({**header, "arrays": described}, separators=(",", ":")).encode()
    data = [a.astype(a.dtype.newbyteorder("<")).tobytes() for a in arrays.values()]
    return zlib.compress(b"".join([len(text).to_bytes(4, "little"), text, *data]), 9)


def describe_sampling() -> dict[str, Any]:
    """Return what the sampler of a page needs to know for all models."""
    return {
        "marks": KEYBOARD_MARKS,
        "curly": CURLY_QUOTES,
        "sampling": asdict(SamplingParams()),
        "constants": MODEL_CONSTANTS,
    }


def list_weights(weights: FoldedWeights, bits: int) -> Arrays:
    """Return the arrays of a network.

    Args:
        bits: of the numbers in matrices: 32, or 8 or fewer with a scale per row. Vectors are
            small, and always float32.
    """
    arrays: Arrays = {
        "network.table": weights.table,
        "network.decoder": weights.decoder,
        "network.decoder_bias": weights.decoder_bias,
    }
    for name in ("recurrent", "hidden_bias", "scales"):
        arrays |= {f"network.{name}.{k}": a for k, a in enumerate(getattr(weights, name))}
    for name in ("inputs", "biases"):  # the table has those of the first layer
        arrays |= {f"network.{name}.{k}": a for k, a in enumerate(getattr(weights, name), 1)}
    if bits <= 8:
        for name in [name for name, array in arrays.items() if array.ndim == 2]:
            arrays[name], arrays[f"{name}.rows"] = quantize_rows(arrays[name], bits)
    return arrays


def describe_counts(counts: Counts) -> dict[str, Any]:
    """Return what `site/network/counts.js` needs beside the arrays of counts."""
    runs = counts.runs
    return {
        "vocabulary_size": counts.table.vocabulary_size,
        "context": counts.table.context,
        "by_place": counts.by_place.tolist(),
        "needs_network": counts.needs_network,
        "least_run": 0 if runs is None else runs.least,
        "word_weights": counts.weights.words,
        "pair_weights": counts.weights.pairs,
        "discounts": counts.table.discounts.tolist(),
        **COUNTS_CONSTANTS,
    }


def _list_lines(model: TrainedModel) -> Arrays:
    """Return the checksums of the training text's lines, which a page leaves out of new lists."""
    with contextlib.suppress(InputError):  # the text is not here
        return list_checksums(read_training_text(model.facts, SPLITS))
    return {}


def list_checksums(text: str) -> Arrays:
    """Return the differences of the sorted checksums of a text's lines, unless they are too many.

    The chance that a new line has the checksum of another is at most 1 in 80,000.
    """
    lines = {line.rstrip() for line in text.split("\n")}
    sums = {zlib.crc32(line.encode("utf-8", "surrogateescape")) for line in lines}
    if len(sums) > _MAX_LINES:
        return {}
    return {"lines": np.diff(sorted(sums), prepend=0).astype(np.uint32)}


# -- the facts with which a page learns a text ----------------------------------------------------

MAX_CHARACTERS = 1_000_000  # of the longest text, which a phone counts in ten seconds


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
            **read_constants(kinds, "HEAD", "MIN_LINES", "MIN_DIFFERENT", "MAX_WORDS"),
            **read_constants(kinds, "MAX_LINE_CHARACTERS", "MAX_UNLIKE", "MAX_DIGITS"),
        },
        "code": {
            **read_constants(kinds, "INDENTED_SHARE", "SIGNS_SHARE"),
            "signs": "".join(sorted(kinds.SIGNS)),
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
