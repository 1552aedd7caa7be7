"""Pack a model for a page: its weights, counts and lines as JSON, and its description.

The JSON of a model contains its architecture, vocabulary, facts, the constants of the formulas, and
all weights in base64; `site/network/packed.js` reads it. Matrices are float32, or int8 with a scale
per row. Vectors are always float32, because they are small.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn import __version__
from charrnn.counts import pairs
from charrnn.counts.mixing import Counts
from charrnn.counts.run_lengths import CONTINUES, MARGIN, MAX_RUN, ODDS_BEYOND
from charrnn.counts.table import MANY
from charrnn.counts.words import DISCOUNT
from charrnn.errors import InputError
from charrnn.extras.page.int8_rows import quantize_model, quantize_rows
from charrnn.extras.page.single_file import SITE
from charrnn.generation.debts import HIGHEST, LARGEST_PAYBACK, LOWEST, NEWLINE, PAYBACK
from charrnn.generation.draw import COLDEST, RUN_LENGTH, log_softmax
from charrnn.generation.dry import LARGEST_PENALTY, LOOK_BACK
from charrnn.generation.engines import make_engine
from charrnn.generation.new_words import COLD, COLD_FACTOR, NEVER
from charrnn.generation.sampler import Sampler
from charrnn.models.trained import BATCHNORM_EPS, LOSS, TrainedModel, find_loss
from charrnn.options.sampling import SamplingParams
from charrnn.say import BITS_PER_NAT
from charrnn.text.prompt import CURLY_QUOTES, KEYBOARD_MARKS, encode_primer
from charrnn.text.sentences import MARKS
from charrnn.text.training_text import get_corpus_name

Array = npt.NDArray[np.float32]

# This file has one step function for each kind of cell.
_CELLS = SITE / "network" / "cells.js"
_STEP = re.compile(r"^  (\w+)\(kernel\b", re.MULTILINE)
# of the formulas that a page computes too
MODEL_CONSTANTS = {
    "batchnorm_eps": BATCHNORM_EPS,
    "coldest": COLDEST,
    "run_length": RUN_LENGTH,
    "look_back": LOOK_BACK,
    "largest_penalty": LARGEST_PENALTY,
    "ends": NEWLINE + MARKS,
    "lowest_debt": LOWEST,
    "highest_debt": HIGHEST,
    "payback": PAYBACK,
    "largest_payback": LARGEST_PAYBACK,
    "never": NEVER,
    "cold": COLD,
    "cold_factor": COLD_FACTOR,
}
# of the formulas of counts
COUNTS_CONSTANTS = {
    "max_run": MAX_RUN,
    "continues": CONTINUES,
    "odds_beyond": float(ODDS_BEYOND),
    "margin": float(MARGIN),
    "word_discount": DISCOUNT,
    "pair_discount": pairs.DISCOUNT,
    "max_marks": pairs.MAX_MARKS,
    "many": MANY,
}
_ALIGNMENT = 4  # bytes; JavaScript's Float32Array needs it


def list_page_kinds() -> list[str]:
    """Return the kinds of model that a page can run."""
    return _STEP.findall(_CELLS.read_text(encoding="utf-8"))


def require_page_support(model: TrainedModel) -> None:
    """Raise InputError if a page cannot run a model of this kind."""
    if (kind := model.architecture.kind) not in list_page_kinds():
        raise InputError(
            f"output: a page cannot run kind {kind}; it can run {', '.join(list_page_kinds())}"
        )


def pack_model(model: TrainedModel, bits: int, facts: dict[str, Any] | None = None) -> str:
    """Return the model as JSON in ASCII.

    Args:
        bits: of the numbers in matrices: 32, or 8 with a scale per row.
        facts: more values for the page. The primer's ids and the default sampling parameters are
            added.
    """
    data = bytearray()
    tensors: dict[str, dict[str, Any]] = {}
    for name, weight in model.weights.items():
        rows, columns = weight.shape if weight.ndim == 2 else (1, weight.size)
        is_int8 = bits == 8 and weight.ndim == 2
        dtype = "int8" if is_int8 else "float32"
        tensors[name] = {"type": dtype, "rows": rows, "columns": columns, "at": len(data)}
        if is_int8:
            quantized_rows = quantize_rows(weight)
            data += quantized_rows.scales.astype("<f4").tobytes() + quantized_rows.int8.tobytes()
        else:
            data += weight.astype("<f4").tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
    cell = model.architecture.cell
    content = {
        "architecture": asdict(model.architecture),
        "cell": {"gates": cell.gates, "carried": cell.carried, "separate_sums": cell.separate_sums},
        "vocabulary": model.vocabulary.to_dict(),
        "facts": {
            **(facts or {}),
            "marks": KEYBOARD_MARKS,
            "curly": CURLY_QUOTES,
            "primer": list(encode_primer(model.facts, model.vocabulary)),
            "sampling": asdict(SamplingParams()),
        },
        "constants": MODEL_CONSTANTS,
        "tensors": tensors,
        "data": base64.b64encode(data).decode("ascii"),
    }
    return json.dumps(content, separators=(",", ":"))


def pack_counts(counts: Counts) -> str:
    """Return counts as JSON in ASCII; `site/network/counts.js` reads it."""
    table, words, runs = counts.table, counts.words, counts.runs
    arrays = counts.to_arrays()
    # Arrays of larger types are little-endian.
    data = b"".join(a.astype(a.dtype.newbyteorder("<")).tobytes() for a in arrays.values())
    content = {
        "vocabulary_size": table.vocabulary_size,
        "context": table.context,
        "by_place": counts.by_place.tolist(),
        "needs_network": counts.needs_network,
        "least_run": 0 if runs is None else runs.least,
        "word_weights": counts.weights.words,
        "pair_weights": counts.weights.pairs,
        "first_cut": 0 if words is None else words.first_cut,
        "discounts": table.discounts.tolist(),
        **COUNTS_CONSTANTS,
        "arrays": {name: {"type": a.dtype.name, "length": len(a)} for name, a in arrays.items()},
        "data": base64.b64encode(zlib.compress(data, 9)).decode("ascii"),
    }
    return json.dumps(content, separators=(",", ":"))


_MAX_LINES = 50_000


def pack_lines(text: str) -> str:
    """Return the checksums of a text's lines as JSON, or null if there are too many lines.

    The chance that a new line has the checksum of another is at most 1 in 80,000.
    """
    lines = {line.rstrip() for line in text.split("\n")}
    sums = {zlib.crc32(line.encode("utf-8", "surrogateescape")) for line in lines}
    if len(sums) > _MAX_LINES:
        return "null"
    # Of the differences, zlib compresses the high bytes best if they are together.
    differences = np.diff(sorted(sums), prepend=0).astype("<u4")
    data = differences.view(np.uint8).reshape(-1, 4).T.tobytes()
    return json.dumps(base64.b64encode(zlib.compress(data, 9)).decode("ascii"))


TOLERANCE = 0.002  # nats per character; the largest cost at which 8 bits are chosen
_DIVERGENCE_CHARACTERS = 2000  # the length of the text for the measurement


class RoundedModel(NamedTuple):
    """A model with weights of 8 or 32 bits."""

    bits: int
    model: TrainedModel
    cost: float  # the added loss, in nats per character


def choose_precision(model: TrainedModel) -> RoundedModel:
    """Round the weights to 8 bits if the cost is small.

    The cost is measured on text that the model writes. On such text, the expected loss grows by
    the mean Kullback-Leibler divergence between the original and the rounded predictions.
    """
    rounded = quantize_model(model)
    cost = compute_divergence(model, rounded)
    return RoundedModel(8, rounded, cost) if cost <= TOLERANCE else RoundedModel(32, model, 0.0)


def compute_divergence(model: TrainedModel, other: TrainedModel) -> float:
    """Return the mean divergence (nats per character) of two models on text of the first.

    The counts of both models are ignored.
    """
    model, other = replace(model, counts=None), replace(other, counts=None)
    sampler = Sampler(model)
    params = SamplingParams(_DIVERGENCE_CHARACTERS, temperature=1.0, min_p=0, seed=0)
    text = "".join(piece.text for piece in sampler.write(params))
    ids, state = sampler.prepare_prompt(model.vocabulary.encode(text))
    engines = (make_engine(model), make_engine(other))
    log_p, log_q = (log_softmax(engine.read(ids[None], state)[0][0]) for engine in engines)
    return float((np.exp(log_p) * (log_p - log_q)).sum(-1).mean())


def make_card(chosen: RoundedModel) -> list[tuple[str, str]]:
    """Return a description of the model for readers, as names and values."""
    model = chosen.model
    architecture, facts = model.architecture, model.facts
    network = f"{architecture.kind}, {architecture.num_layers} x {architecture.hidden_size} units"
    if architecture.batchnorm:
        network += ", batch normalization"
    if architecture.skip != "none":
        network += ", skip connections"
    characters = "bytes" if model.vocabulary.is_bytes else "characters"
    rows = [
        ("Network", network),
        ("Weights", f"{architecture.num_parameters:,} parameters of {chosen.bits} bits"),
        ("Knows", f"{len(model.vocabulary)} {characters}"),
    ]
    if corpus := get_corpus_name(facts):
        rows.insert(0, ("Learnt from", corpus))
    name, loss = "Validation loss with its counts", model.loss
    if model.counts is None:
        name, loss = "Validation loss", find_loss(facts, LOSS)
    if loss is not None:
        rows.append((name, f"{loss:.4f} nats, {loss * BITS_PER_NAT:.3f} bits a character"))
    if isinstance(step := facts.get("step"), int):
        rows.append(("Trained for", f"{step:,} steps"))
    if chosen.cost:
        rows.append(("Rounded weights", f"make the loss {chosen.cost:.5f} higher"))
    return [*rows, ("Made with", f"charrnn {__version__}")]
