"""What is told of a model beside what it writes: its card."""

from __future__ import annotations

import math
import re
from pathlib import Path

from charrnn import __version__
from charrnn.models.ensemble import Trained
from charrnn.models.trained import TrainedModel
from charrnn.page.packing import Chosen
from charrnn.say import BITS_PER_NAT
from charrnn.text.primer import FACT

_INDENTED = 0.3  # of the lines, from which on it is no accident


def corpus_name(model: Trained) -> str | None:
    """The name of the text that the model was trained on, without its folder and ending."""
    path = model.facts.get("input_h5")
    # in the cache a name ends in the digest of the text's place and options
    return re.sub("-[0-9a-f]{16}$", "", Path(path).stem) if isinstance(path, str) else None


def is_indented(model: TrainedModel) -> bool:
    """Whether the text that the model carries as its primer is indented, as code and tables are."""
    lines = [line for line in str(model.facts.get(FACT) or "").split("\n") if line.strip()]
    indented = sum(line[0] in " \t" for line in lines)
    return indented > len(lines) * _INDENTED


def card(chosen: Chosen) -> list[tuple[str, str]]:
    """Names and values, for people."""
    model = chosen.model
    architecture, facts = model.architecture, model.facts
    extras = [
        name
        for name, there in (
            ("batch normalization", architecture.batchnorm),
            ("layer normalization", architecture.layernorm),
            ("skip connections", architecture.skip != "none"),
        )
        if there
    ]
    numbers = sum(weight.size for weight in model.weights.values())
    network = f"{architecture.kind}, {architecture.num_layers} x {architecture.hidden_size} units"
    rows = [
        ("Network", ", ".join([network, *extras])),
        ("Weights", f"{numbers:,} numbers of {chosen.precision.bits} bits"),
        (
            "Knows",
            f"{len(model.vocabulary)} {'bytes' if model.vocabulary.is_bytes else 'characters'}",
        ),
    ]
    if name := corpus_name(model):
        rows.insert(0, ("Learnt from", name))
    loss, step = facts.get("val_loss"), facts.get("step")
    if isinstance(loss, float) and math.isfinite(loss):
        bits = loss * BITS_PER_NAT
        rows.append(("Validation loss", f"{loss:.4f} nats, {bits:.3f} bits a character"))
    if isinstance(step, int):
        rows.append(("Trained for", f"{step:,} steps"))
    if chosen.cost:
        rows.append(("Rounded weights", f"make the loss {chosen.cost:.5f} higher"))
    return [*rows, ("Made with", f"charrnn {__version__}")]
