"""All that the page shows of a model and a passage, as plain values and as one HTML file.

Units are numbered as the network's state has them: layer by layer, the vectors that the cell
carries one after the other, H units each. Of a cell's vector c its tanh is looked at, as its
output reads it. Arrays are base64 of little-endian numbers.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from charrnn import metrics_csv
from charrnn.counts import ALONE, Counts, best_context
from charrnn.data import Ids
from charrnn.extras.inspect import activations, correlation, distance, features, gates
from charrnn.extras.page.packing import Chosen, card, packed
from charrnn.extras.page.single_file import joined, replaced, single_file, style_of
from charrnn.generation.weights import Array, fold
from charrnn.models.trained import TrainedModel
from charrnn.runs import run_history
from charrnn.say import BITS_PER_NAT, say
from charrnn.text.vocabulary import readable
from charrnn.training_text import corpus_name

MOST_COUNTED = 1_000_000  # characters of the training text
_LARGEST_EMBEDDING = 2000  # characters that are drawn
# what counts gain at a character is told to a sixteenth of a bit, and up to 8 bits
_STEPS_A_BIT = 16
_MOST_STEPS = 127

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Passage:
    """Attributes: ids (T,) from 0, T >= 2; source, what to call it."""

    ids: Ids
    source: str


def report(
    model: TrainedModel,
    passage: Passage,
    training_ids: Ids | None,
    counts: Counts | None = None,
    *,
    progress: Report | None = None,
) -> dict[str, Any]:
    """What is seen of a model that reads a passage.

    Args:
        training_ids: (n,) from 0, of the text that the model was trained on, which is counted
            where the model has no counts; None where it is not at hand.
        counts: what the model mixes in when it writes.
        progress: called now and then with the characters read and those in all.

    Raises:
        RunError: the model's scores are not numbers.
    """
    ids, trace = passage.ids, activations.trace(model, passage.ids, report=progress)
    text = model.vocabulary.decode(ids)
    parts, shown = _parts(model, trace)
    found = correlation.features_of(text)
    r, chance = correlation.correlations(shown, found)
    return {
        "passage": {
            "text": readable(text),
            "source": passage.source,
            "loss": float(trace.losses[1:].mean(dtype=np.float64)),
        },
        "parts": parts,
        "hidden_size": model.architecture.hidden_size,
        "features": [
            {
                "name": name,
                "meaning": features.FEATURES[name].meaning,
                "chance": round(float(level), 4),
                "largest": float(np.abs(values).max()),
                "track": _track(values),
            }
            for (name, values), level in zip(found.items(), chance, strict=True)
        ],
        "absent": [name for name in features.FEATURES if name not in found],
        "correlations": _base64(np.rint(r * 32767).astype("<i2")),
        "gates": _gates(model, ids, trace),
        "distance": _distance(model, ids, counts or _counted(training_ids, ids, model)),
        "embedding": _embedding(model),
        "counts": None if counts is None else _counts(model, counts, ids, trace.losses[1:]),
    }


def _parts(
    model: TrainedModel, trace: activations.Trace
) -> tuple[list[dict[str, Any]], list[Array]]:
    """The vectors of the state: what they are called, and what is shown of them (T, H)."""
    parts, shown = [], []
    for layer, vectors in enumerate(trace.carried):
        for letter, vector in zip(model.architecture.cell.carried, vectors, strict=True):
            values = np.tanh(vector) if letter == "c" else vector
            shown.append(values)
            scale = max(1.0, float(np.abs(values).max()))
            parts.append({"layer": layer, "letter": letter, "scale": scale})
    return parts, shown


def _track(values: features.Values) -> str:
    """A feature along the passage in 254 steps of its largest value."""
    largest = max(float(np.abs(values).max()), 1e-9)
    return _base64(np.rint(np.abs(values) / largest * 254).astype(np.uint8))


def _gates(
    model: TrainedModel, ids: Ids, trace: activations.Trace
) -> list[dict[str, list[list[float]]]]:
    return [
        {gate: shares.round(3).tolist() for gate, shares in layer.items()}
        for layer in gates.saturation(fold(model), ids, trace.hidden)
    ]


def _counted(training_ids: Ids | None, ids: Ids, model: TrainedModel) -> Counts | None:
    """Counts of a training text, their context in their favour: what does best on the passage."""
    if training_ids is None or len(training_ids) < 2:
        return None
    found = best_context(training_ids[:MOST_COUNTED], ids, len(model.vocabulary))
    return None if found is None else Counts(found.table, ALONE)


def _distance(model: TrainedModel, ids: Ids, counts: Counts | None) -> dict[str, Any]:
    places = distance.windows(len(ids))

    def curve(model: TrainedModel) -> list[tuple[int, int, float]]:
        losses = distance.network_losses(model, ids[places])
        return [(first, last, round(loss, 4)) for first, last, loss in distance.by_distance(losses)]

    found: dict[str, Any] = {"windows": len(places), "network": curve(model)}
    if counts is not None:
        alone = replace(model, counts=counts.only)
        found |= {"context": counts.table.context, "counts": curve(alone)}
    return found


def _counts(model: TrainedModel, counts: Counts, ids: Ids, network: Array) -> dict[str, Any]:
    """What counts change along the passage: losses, and for each character the bits gained.

    Args:
        network: (T - 1,), the losses of the network alone.
    """

    def losses(counts: Counts) -> distance.Losses:
        return distance.network_losses(replace(model, counts=counts), ids[None])

    both = losses(counts)
    gains = np.append(0, (network - both) * BITS_PER_NAT)
    steps = np.rint(gains * _STEPS_A_BIT).clip(-_MOST_STEPS, _MOST_STEPS)
    return {
        "weights": np.round(counts.weights, 3).tolist(),
        "network": float(network.mean(dtype=np.float64)),
        "alone": float(losses(counts.only).mean()),
        "both": float(both.mean()),
        "steps": _STEPS_A_BIT,
        "track": _base64((steps + _MOST_STEPS).astype(np.uint8)),
    }


def _embedding(model: TrainedModel) -> dict[str, Any]:
    """Places of the characters that come first in the vocabulary, in the order of their ids."""
    vectors = model.weights["embedding.weight"]
    places, shares = distance.plane(vectors)
    places = places / max(1e-9, float(np.abs(places).max()))
    return {"places": places[:_LARGEST_EMBEDDING].round(4).tolist(), "shares": shares}


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


FOLDER = Path(__file__).parent / "site"


def page(chosen: Chosen, seen: Mapping[str, Any]) -> str:
    """The page of a model as HTML.

    Args:
        seen: what `report.report` says of the model, and what `training.training` does.
    """
    title = f"Inside {corpus_name(chosen.model) or 'a model'}"
    template = (FOLDER / "index.html").read_text(encoding="utf-8")
    for tag in ("title", "h1"):
        template = replaced(template, f"<{tag}></{tag}>", f"<{tag}>{html.escape(title)}</{tag}>")
    report = {**seen, "card": card(chosen)}
    return single_file(
        template,
        style=style_of(FOLDER),
        script=joined(FOLDER / "main.js"),
        data={
            "packed-model": packed(chosen.model, chosen.precision),
            "report": json.dumps(report, separators=(",", ":")),
        },
    )


MOST_POINTS = 400  # of a curve
MOST_SAMPLES = 60
LONGEST_SAMPLE = 2000  # characters


def run_of(path: Path) -> Path | None:
    """The run folder in which a model lies, if it lies in one.

    Args:
        path: of the model, as `charrnn.models.find_model` gives it.
    """
    for folder in (path.parent, path.parent.parent):
        if (folder / metrics_csv.NAME).is_file():
            return folder
    return None


def training(folder: Path) -> dict[str, Any]:
    """The curves and samples of a run folder; what cannot be read is left out."""
    rows = metrics_csv.read(folder)
    curves = {name: metrics_csv.curve(rows, f"{name}/loss") for name in ("train", "val")}
    return {
        "curves": {name: run_history.spread(curve, MOST_POINTS) for name, curve in curves.items()},
        "samples": samples(folder),
    }


def samples(folder: Path) -> list[tuple[int, str]]:
    """The samples that training wrote, as (step, text), spread over its steps."""
    texts = []
    for step, path in run_history.spread(run_history.sample_files(folder), MOST_SAMPLES):
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                texts.append((step, file.read(LONGEST_SAMPLE)))
        except OSError as error:
            say(f"{path}: cannot be read ({error.strerror}); the page is without it")
    return texts
