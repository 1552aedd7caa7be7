"""How soon a validation loss is reached: charrnn's default recipe and a small transformer.

Both train on the same split and are validated on the same split, each at its best: the
LSTM as one stream, the transformer with 48 to 63 characters before each (as many as its
window allows). The transformer's validations take no time here, charrnn's do.
"""

from __future__ import annotations

import dataclasses
import re

from benchmarks.measuring import Measured, interleaved
from benchmarks.results import Curve, Part, Points, Row, rounds_of
from benchmarks.sections.training import peer
from benchmarks.workplace import Workplace

VALIDATION = re.compile(r"validation after step (\d+): loss ([\d.]+)")


def measure(place: Workplace) -> Part:
    steps = place.effort.size(2000, least=8)
    every = max(2, steps // 20)
    points: dict[str, Points] = {}

    def transformer() -> float:
        h5, json = place.data
        ended = peer(
            place, "transformer", str(h5), str(json),
            *("--steps", str(steps), "--validate-every", str(every)),
        )  # fmt: skip
        lines = [line.split() for line in ended.output.splitlines()]
        points["transformer"] = [(float(seconds), float(loss)) for _, seconds, loss in lines]
        return points["transformer"][-1][0]

    def charrnn() -> float:
        ended, _ = place.train(
            "experiment=null",
            *place.data_options,
            f"trainer.max_steps={2 * steps}",
            f"validate_every={every}",
        )
        began = ended.at("step 1 /")
        points["charrnn"] = [
            (when - began, float(found[2]))
            for when, line in ended.lines
            if (found := VALIDATION.search(line))
        ]
        goal = min(loss for _, loss in points["transformer"])
        reached = [when for when, loss in points["charrnn"] if loss <= goal]
        return reached[0] if reached else float("nan")

    # one round is minutes, and what it gives is a curve
    effort = dataclasses.replace(place.effort, rounds=1)
    parts = interleaved({"transformer": transformer, "charrnn": charrnn}, effort)
    goal = min(loss for _, loss in points["transformer"])
    at_once = [loss for when, loss in points["charrnn"] if when <= points["transformer"][-1][0]]
    rows = [
        _row(f"transformer, 0.80 M parameters, {steps} steps: to loss {goal:.3f}",
             parts["transformer"]),
        _row("charrnn, default recipe: to the same loss", parts["charrnn"]),
        Row("charrnn / transformer", parts["charrnn"].median / parts["transformer"].median, "x",
            rounds=rounds_of(parts["charrnn"])),
        Row("charrnn's loss in the transformer's time", min(at_once, default=float("nan")),
            "nats/character", rounds=rounds_of(parts["charrnn"])),
    ]  # fmt: skip
    curve = Curve(
        "loss",
        "Validation loss and training time",
        "seconds",
        "nats a character",
        points,
        linear="xy",
    )
    return Part(rows, [curve], [f"Corpus: {place.corpus[0]}."])


def _row(what: str, measured: Measured) -> Row:
    return Row(what, measured.median, "s", rounds=rounds_of(measured), values={"": measured.values})
