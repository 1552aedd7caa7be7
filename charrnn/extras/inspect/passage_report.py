"""The page of `charrnn inspect`: a report on a model and a passage, and the network itself.

The report is values for JSON. Units are numbered in the order of the network's state: layer by
layer, then the vectors of a cell, then H units. For an LSTM's c, the report has tanh(c), because
the output gate reads that. Arrays are encoded as base64 of little-endian numbers.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts
from charrnn.data import Ids
from charrnn.extras.inspect import activations, correlation
from charrnn.extras.inspect.features import FEATURES, Values
from charrnn.extras.page.packing import RoundedModel, make_card, pack_model
from charrnn.extras.page.single_file import join_modules, make_single_file, read_style, replace_once
from charrnn.generation.draw import Array, Floats
from charrnn.models.trained import TrainedModel
from charrnn.say import BITS_PER_NAT
from charrnn.text.training_text import get_corpus_name
from charrnn.text.vocabulary import to_readable

SITE = Path(__file__).parent / "site"
# The gain of the counts is rounded to a sixteenth of a bit, and cut off at 8 bits.
_STEPS_PER_BIT = 16
_MAX_STEPS = 127


def make_page(chosen: RoundedModel, ids: Ids, counts: Counts | None = None) -> str:
    """Return the page about a model without counts, its counts, and a passage (T,) as HTML."""
    title = f"Inside {get_corpus_name(chosen.model.facts) or 'a model'}"
    template = (SITE / "index.html").read_text(encoding="utf-8")
    for tag in ("title", "h1"):
        element = f"<{tag}>{html.escape(title)}</{tag}>"
        template = replace_once(template, f"<{tag}></{tag}>", element)
    report = make_report(chosen.model, ids, counts)
    card = make_card(chosen._replace(model=replace(chosen.model, counts=counts)))
    return make_single_file(
        template,
        style=read_style(SITE),
        script=join_modules(SITE / "main.js"),
        data={
            "packed-model": pack_model(chosen.model, chosen.bits),
            "report": json.dumps({**report, "card": card}, separators=(",", ":")),
        },
    )


def make_report(model: TrainedModel, ids: Ids, counts: Counts | None = None) -> dict[str, Any]:
    """Return a report on how a model reads a passage.

    Args:
        model: without counts.
        ids: (T,) from 0, T >= 2.
        counts: the counts of the model, which have separate sections in the report.
    """
    trace = activations.trace_passage(model, ids)
    text = model.vocabulary.decode(ids)
    parts, vectors = list_vectors(model, trace)
    features = correlation.compute_features(text)
    r, chance = correlation.compute_correlations(vectors, features)
    return {
        "passage": {
            "text": to_readable(text),
            "loss": float(trace.losses[1:].mean(dtype=np.float64)),
        },
        "parts": parts,
        "hidden_size": model.architecture.hidden_size,
        "features": [
            {
                "name": name,
                "meaning": FEATURES[name].meaning,
                "chance": round(float(level), 4),
                "track": _encode_track(values),
            }
            for (name, values), level in zip(features.items(), chance, strict=True)
        ],
        "absent": [name for name in FEATURES if name not in features],
        "correlations": _encode_base64(np.rint(r * 32767).astype("<i2")),
        "distance": _measure_loss_by_context(model, ids, counts),
        "counts": None if counts is None else _measure_counts(model, counts, ids, trace.losses[1:]),
    }


def list_vectors(
    model: TrainedModel, trace: activations.Trace
) -> tuple[list[dict[str, Any]], list[Array]]:
    """Return the descriptions of the state's vectors, and the values (T, H) that are shown."""
    parts, shown = [], []
    for layer, vectors in enumerate(trace.carried):
        for letter, vector in zip(model.architecture.cell.carried, vectors, strict=True):
            values = np.tanh(vector) if letter == "c" else vector
            shown.append(values)
            scale = max(1.0, float(np.abs(values).max()))
            parts.append({"layer": layer, "letter": letter, "scale": scale})
    return parts, shown


def _encode_track(values: Values) -> str:
    """Encode a feature along the passage in bytes: 254 is its largest value."""
    largest = max(float(np.abs(values).max()), 1e-9)
    return _encode_base64(np.rint(np.abs(values) / largest * 254).astype(np.uint8))


def _measure_loss_by_context(
    model: TrainedModel, ids: Ids, counts: Counts | None
) -> dict[str, Any]:
    """Return the mean loss by the number of characters before: of the network, and of the counts.

    Each is a list of (first, last, loss). "context" is the most that the counts can read.
    """
    windows = activations.choose_windows(len(ids))

    def compute_curve(model: TrainedModel) -> list[tuple[int, int, float]]:
        losses = activations.compute_mean_losses(model, ids[windows])
        curve = activations.average_by_distance(losses)
        return [(first, last, round(loss, 4)) for first, last, loss in curve]

    losses: dict[str, Any] = {"network": compute_curve(model)}
    if counts is not None:
        counts_only = replace(model, counts=counts.only)
        losses |= {"context": counts.table.context, "counts": compute_curve(counts_only)}
    return losses


def _measure_counts(
    model: TrainedModel, counts: Counts, ids: Ids, network_losses: Floats
) -> dict[str, Any]:
    """Measure how counts change the losses (T - 1,), and encode the gain of each in bits."""
    mixed_losses, counts_losses = (
        activations.compute_mean_losses(replace(model, counts=variant), ids[None])
        for variant in (counts, counts.only)
    )
    gains = np.append(0, (network_losses - mixed_losses) * BITS_PER_NAT)
    steps = np.rint(gains * _STEPS_PER_BIT).clip(-_MAX_STEPS, _MAX_STEPS)
    return {
        "weights": [np.round(part, 3).tolist() for part in counts.weights],
        "network": float(network_losses.mean(dtype=np.float64)),
        "alone": float(counts_losses.mean()),
        "both": float(mixed_losses.mean()),
        "steps": _STEPS_PER_BIT,
        "track": _encode_base64((steps + _MAX_STEPS).astype(np.uint8)),
    }


def _encode_base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
