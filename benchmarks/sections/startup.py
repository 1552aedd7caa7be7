"""Measure how long commands take to start, beside their imports."""

from __future__ import annotations

import sys

from benchmarks.inputs import Inputs
from benchmarks.measuring import measure_in_turns, run
from benchmarks.tables import Row, format_rows


def measure(inputs: Inputs) -> str:
    """Return the table of start-up times."""

    def time_imports(*modules: str) -> float:
        code = f"import {', '.join(modules)}"
        return run([sys.executable, "-c", code], inputs.folder).seconds

    def time_first_step() -> float:
        words = ("experiment=torch_rnn", "trainer=cpu", "trainer.max_steps=1", "validate_every=0")
        return inputs.train(*words).find_time("step 1 /")

    sample = ("sample", f"checkpoint={inputs.model}", "length=200", "seed=1")
    parts = {
        "`charrnn --help`, the whole process": lambda: inputs.run_charrnn("--help").seconds,
        "importing Hydra and NumPy": lambda: time_imports("hydra", "numpy"),
        "`charrnn sample length=200` from a model file, the whole process": lambda: (
            inputs.run_charrnn(*sample).seconds
        ),
        "importing torch, Lightning, Hydra and h5py": lambda: time_imports(
            "torch", "lightning.pytorch", "hydra", "h5py"
        ),
        "`charrnn train` until its first training step is done": time_first_step,
    }
    seconds = measure_in_turns(parts, inputs.rounds)
    return format_rows(Row(what, value, "s") for what, value in seconds.items())
