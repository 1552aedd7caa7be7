"""Compare the training of the recipe two_minutes with a bare loop, and with a transformer's.

The transformer is the one that nanoGPT trains on a CPU. The time of its validation is not counted;
that of charrnn's validations is.
"""

from __future__ import annotations

import json

from benchmarks.inputs import Inputs
from benchmarks.sections.steps import BARE, compare_steps
from benchmarks.tables import Row, format_rows

RECIPE = "experiment=two_minutes"


def measure(inputs: Inputs) -> str:
    """Return the table of the recipe: its steps, and its whole training."""
    words = (RECIPE, "trainer=cpu", "validate_every=0")
    steps = compare_steps(inputs, inputs.scale_size(300, least=12), words, BARE)
    return format_rows([*steps, *compare_trainings(inputs)])


def compare_trainings(inputs: Inputs) -> list[Row]:
    """Train both models once to the end, and validate them on the same characters."""
    steps = inputs.scale_size(2000, least=4)
    h5, ids_json = map(str, inputs.ids)
    printed = inputs.run_peer("transformer", h5, ids_json, "--steps", str(steps)).output
    seconds, loss = map(float, printed.split())
    limit = f"trainer.max_steps={inputs.scale_size(1500, least=4)}"
    ended = inputs.train(RECIPE, "trainer=cpu", limit)
    score = json.loads(inputs.run_charrnn("evaluate", "counts=none", "json=true").output)
    return [
        Row(f"a transformer of 0.80 million parameters, {steps:,} steps", seconds, "s"),
        Row("its validation loss", loss, "nats"),
        Row(f"`charrnn train {RECIPE}`, the whole process", ended.seconds, "s"),
        Row("its validation loss, without counts", score["loss"], "nats"),
    ]
