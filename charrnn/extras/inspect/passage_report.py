"""All that the page shows of a model and a passage, as plain values.

Units are numbered as the network's state has them: layer by layer, the vectors that the cell
carries one after the other, H units each. Of a cell's vector c its tanh is looked at, as its
output reads it. Arrays are base64 of little-endian numbers.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts
from charrnn.data import Ids
from charrnn.extras.inspect import activations, correlation
from charrnn.extras.inspect.features import FEATURES, Values
from charrnn.generation.draw import Array, Floats
from charrnn.models.trained import TrainedModel
from charrnn.say import BITS_PER_NAT
from charrnn.text.vocabulary import readable

# A gate is saturated where it is nearly shut or nearly open: Karpathy, Johnson and Li,
# "Visualizing and Understanding Recurrent Networks" (2015, arXiv 1506.02078).
SHUT, OPEN = 0.1, 0.9
_MOST_GATES = 5000  # characters at which gates are looked at
# what counts gain at a character is told to a sixteenth of a bit, and up to 8 bits
_STEPS_A_BIT = 16
_MOST_STEPS = 127


def report(model: TrainedModel, ids: Ids, counts: Counts | None = None) -> dict[str, Any]:
    """What is seen of a model that reads a passage.

    Args:
        model: without counts.
        ids: (T,) from 0, T >= 2.
        counts: what the model mixes in when it writes.

    Raises:
        RunError: the model's scores are not numbers.
    """
    trace = activations.trace(model, ids)
    text = model.vocabulary.decode(ids)
    parts, vectors = parts_of(model, trace)
    features = correlation.features_of(text)
    r, chance = correlation.correlations(vectors, features)
    return {
        "passage": {
            "text": readable(text),
            "loss": float(trace.losses[1:].mean(dtype=np.float64)),
        },
        "parts": parts,
        "hidden_size": model.architecture.hidden_size,
        "features": [
            {
                "name": name,
                "meaning": FEATURES[name].meaning,
                "chance": round(float(level), 4),
                "track": _track(values),
            }
            for (name, values), level in zip(features.items(), chance, strict=True)
        ],
        "absent": [name for name in FEATURES if name not in features],
        "correlations": _base64(np.rint(r * 32767).astype("<i2")),
        "gates": _gates(model, ids, trace),
        "distance": _distance(model, ids, counts),
        "counts": None if counts is None else _counts(model, counts, ids, trace.losses[1:]),
    }


def parts_of(
    model: TrainedModel, trace: activations.Trace
) -> tuple[list[dict[str, Any]], list[Array]]:
    """The vectors of the state: what they are called, and what is shown of them (T, H)."""
    parts, traced = [], []
    for layer, vectors in enumerate(trace.carried):
        for letter, vector in zip(model.architecture.cell.carried, vectors, strict=True):
            values = np.tanh(vector) if letter == "c" else vector
            traced.append(values)
            scale = max(1.0, float(np.abs(values).max()))
            parts.append({"layer": layer, "letter": letter, "scale": scale})
    return parts, traced


def _track(values: Values) -> str:
    """A feature along the passage in 254 steps of its largest value."""
    largest = max(float(np.abs(values).max()), 1e-9)
    return _base64(np.rint(np.abs(values) / largest * 254).astype(np.uint8))


def _gates(model: TrainedModel, ids: Ids, trace: activations.Trace) -> list[dict[str, Any]]:
    """How often each unit's gates are shut and open (H, 2), as in Karpathy et al. (2015)."""

    def shares(values: Array) -> list[list[float]]:
        shares = np.stack([(values < SHUT).mean(0), (values > OPEN).mean(0)], 1)
        return [[round(float(share), 3) for share in unit] for unit in shares]

    hidden = [vectors[:_MOST_GATES] for vectors in trace.hidden]
    layers = activations.gates(model, ids[:_MOST_GATES], hidden)
    return [{gate: shares(values) for gate, values in layer.items()} for layer in layers]


def _distance(model: TrainedModel, ids: Ids, counts: Counts | None) -> dict[str, Any]:
    places = activations.windows(len(ids))

    def curve(model: TrainedModel) -> list[tuple[int, int, float]]:
        losses = activations.mean_losses(model, ids[places])
        return [
            (first, last, round(loss, 4)) for first, last, loss in activations.by_distance(losses)
        ]

    losses: dict[str, Any] = {"network": curve(model)}
    if counts is not None:
        counts_only = replace(model, counts=counts.only)
        losses |= {"context": counts.table.context, "counts": curve(counts_only)}
    return losses


def _counts(model: TrainedModel, counts: Counts, ids: Ids, network: Floats) -> dict[str, Any]:
    """What counts change along the passage: losses, and for each character the bits gained.

    Args:
        network: (T - 1,), the losses of the network alone.
    """
    both, counts_alone = (
        activations.mean_losses(replace(model, counts=each), ids[None])
        for each in (counts, counts.only)
    )
    gains = np.append(0, (network - both) * BITS_PER_NAT)
    steps = np.rint(gains * _STEPS_A_BIT).clip(-_MOST_STEPS, _MOST_STEPS)
    return {
        "weights": np.round(counts.weights, 3).tolist(),
        "network": float(network.mean(dtype=np.float64)),
        "alone": float(counts_alone.mean()),
        "both": float(both.mean()),
        "steps": _STEPS_A_BIT,
        "track": _base64((steps + _MOST_STEPS).astype(np.uint8)),
    }


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
