"""A model in a page: its card, and its weights in few bytes, as text that the page carries.

What is packed is JSON: the architecture, the vocabulary, what the page tells of the model, and all
weights in base64. `site/network/packed.js` reads it. Matrices are float32, or int8 with a scale
for each row; vectors, of which there are few numbers, are always float32.
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
from charrnn.counts.mixing import Counts
from charrnn.errors import InputError
from charrnn.extras.page.single_file import SITE
from charrnn.generation.draw import log_softmax
from charrnn.generation.engines import make_engine
from charrnn.generation.int8_rows import quantize_model, quantize_rows
from charrnn.generation.sampler import Sampler
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.say import BITS_PER_NAT
from charrnn.text.prompt import PRIMER_FACT, primer_of
from charrnn.text.training_text import corpus_name

Array = npt.NDArray[np.float32]

# where each cell that the page can step has its step
_CELLS = SITE / "network" / "cells.js"
_STEP = re.compile(r"^  (\w+)\(kernel\b", re.MULTILINE)
_ALIGNMENT = 4  # bytes, so that JavaScript can look at float32 in place


def list_page_kinds() -> list[str]:
    """The kinds of model that a page can step."""
    return _STEP.findall(_CELLS.read_text(encoding="utf-8"))


def require_page_support(model: TrainedModel) -> None:
    """Raise InputError if a page could not step a model of this kind."""
    if (kind := model.architecture.kind) not in list_page_kinds():
        raise InputError(
            f"output: a page has no network of kind {kind}; it has {', '.join(list_page_kinds())}"
        )


def pack_model(model: TrainedModel, bits: int, facts: dict[str, Any] | None = None) -> str:
    """The model as JSON in ASCII.

    Args:
        bits: of the numbers of its matrices: 32, or 8 with a scale for each row.
        facts: plain values that the page is to know besides; the primer's ids and the defaults
            of sampling are added.
    """
    data = bytearray()
    tensors: dict[str, dict[str, Any]] = {}
    for name, weight in model.weights.items():
        rows, columns = weight.shape if weight.ndim == 2 else (1, weight.size)
        int8 = bits == 8 and weight.ndim == 2
        kind = "int8" if int8 else "float32"
        tensors[name] = {"type": kind, "rows": rows, "columns": columns, "at": len(data)}
        if int8:
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
            "primer": list(primer_of(model.facts, model.vocabulary)),
            "sampling": asdict(SamplingParams()),
        },
        "tensors": tensors,
        "data": base64.b64encode(data).decode("ascii"),
    }
    return json.dumps(content, separators=(",", ":"))


def pack_counts(counts: Counts) -> str:
    """Counts as JSON in ASCII; `site/network/counts.js` reads it."""
    table = counts.table
    arrays = table.arrays()
    # a byte each, or little-endian
    data = b"".join(a.astype(a.dtype.newbyteorder("<")).tobytes() for a in arrays.values())
    content = {
        "vocabulary_size": table.vocabulary_size,
        "context": table.context,
        "by_length": counts.by_length.tolist(),
        "runs": table.runs.tolist(),
        "discounts": table.discounts.tolist(),
        "arrays": {name: {"type": a.dtype.name, "length": len(a)} for name, a in arrays.items()},
        "data": base64.b64encode(zlib.compress(data, 9)).decode("ascii"),
    }
    return json.dumps(content, separators=(",", ":"))


_MOST_LINES = 50_000


def pack_lines(text: str) -> str:
    """Checksums of the lines of a text as JSON, or null where they are too many.

    A line that is not among them has the checksum of one in one of 80,000 cases at most.
    """
    lines = {line.rstrip() for line in text.split("\n")}
    sums = {zlib.crc32(line.encode("utf-8", "surrogateescape")) for line in lines}
    if len(sums) > _MOST_LINES:
        return "null"
    return json.dumps(base64.b64encode(np.array(sorted(sums), "<u4").tobytes()).decode("ascii"))


TOLERANCE = 0.002  # nats a character
_CHARACTERS = 2000  # of the text by which it is measured


class Chosen(NamedTuple):
    """Weights of so many bits.

    Attributes:
        model: the model that they make.
        cost: what they add to the loss, in nats a character.
    """

    bits: int
    model: TrainedModel
    cost: float


def choose_precision(model: TrainedModel, bits: int | None = None) -> Chosen:
    """The model with its weights in so many bits, or in 8 if that keeps its loss.

    The cost is measured on text that the model itself writes: over such text, the loss grows by
    the mean Kullback-Leibler divergence of the new predictions from the old.
    """
    if bits != 32:
        other = quantize_model(model)
        cost = compute_divergence(model, other)
        if bits or cost <= TOLERANCE:
            return Chosen(8, other, cost)
    return Chosen(32, model, 0.0)


def compute_divergence(model: TrainedModel, other: TrainedModel) -> float:
    """The mean divergence (nats a character) of another's predictions, over text of the first.

    Both are looked at without the counts that they may have.
    """
    model, other = replace(model, counts=None), replace(other, counts=None)
    sampler = Sampler(model)
    options = SamplingParams(_CHARACTERS, temperature=1.0, min_p=0, seed=0)
    text = "".join(piece.text for piece in sampler.write(options))
    ids, state = sampler.prompt(text)
    p, q = (log_softmax(make_engine(each).read(ids[None], state)[0][0]) for each in (model, other))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


_INDENTED = 0.3  # of the lines, from which on it is no accident


def is_indented(model: TrainedModel) -> bool:
    """Whether the text that the model carries as its primer is indented, as code and tables are."""
    lines = [line for line in str(model.facts.get(PRIMER_FACT) or "").split("\n") if line.strip()]
    indented = sum(line[0] in " \t" for line in lines)
    return indented > len(lines) * _INDENTED


def make_card(chosen: Chosen) -> list[tuple[str, str]]:
    """Names and values, for people."""
    model = chosen.model
    architecture, facts = model.architecture, model.facts
    network = f"{architecture.kind}, {architecture.num_layers} x {architecture.hidden_size} units"
    if architecture.batchnorm:
        network += ", batch normalization"
    if architecture.skip != "none":
        network += ", skip connections"
    numbers = sum(weight.size for weight in model.weights.values())
    characters = "bytes" if model.vocabulary.is_bytes else "characters"
    rows = [
        ("Network", network),
        ("Weights", f"{numbers:,} numbers of {chosen.bits} bits"),
        ("Knows", f"{len(model.vocabulary)} {characters}"),
    ]
    if name := corpus_name(model.facts):
        rows.insert(0, ("Learnt from", name))
    loss, step = model.loss, facts.get("step")
    if loss is not None:
        name = "Validation loss" + ("" if model.counts is None else " with its counts")
        rows.append((name, f"{loss:.4f} nats, {loss * BITS_PER_NAT:.3f} bits a character"))
    if isinstance(step, int):
        rows.append(("Trained for", f"{step:,} steps"))
    if chosen.cost:
        rows.append(("Rounded weights", f"make the loss {chosen.cost:.5f} higher"))
    return [*rows, ("Made with", f"charrnn {__version__}")]
