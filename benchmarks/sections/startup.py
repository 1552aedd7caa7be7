"""Measure how long commands take to start."""

from __future__ import annotations

import sys

from benchmarks.measuring import measure_in_turns, run
from benchmarks.report import Row, make_row
from benchmarks.workplace import CHARRNN, Workplace


def measure(workplace: Workplace) -> list[Row]:
    data = workplace.data_options

    def time_python(code: str) -> float:
        return run([sys.executable, "-c", code], workplace.folder).seconds

    def time_first_step() -> float:
        ended, _ = workplace.train(*data, "trainer.max_steps=1", "validate_every=0")
        return ended.find_time("step 1 /")

    words = [f"checkpoint={workplace.trained / 'model.safetensors'}", "length=200", "seed=1"]
    quick = measure_in_turns(
        {
            "charrnn --help": lambda: run([*CHARRNN, "--help"], workplace.folder).seconds,
            "sample": lambda: run([*CHARRNN, "sample", *words], workplace.folder).seconds,
            "sample imports": lambda: time_python("import hydra, numpy"),
        },
        workplace.effort,
    )
    slow = measure_in_turns(
        {
            "charrnn train": time_first_step,
            "imports": lambda: time_python("import torch, lightning.pytorch, hydra, h5py"),
        },
        workplace.effort,
    )
    return [
        make_row("`charrnn --help`, the whole process", "s", quick["charrnn --help"], bar="<= 0.2"),
        make_row("importing Hydra and NumPy", "s", quick["sample imports"]),
        make_row("`charrnn sample length=200` from a model file, the whole process", "s",
            quick["sample"], bar="<= 0.37"),
        make_row("importing torch, Lightning, Hydra and h5py", "s", slow["imports"]),
        make_row("`charrnn train` until its first training step is done", "s",
            slow["charrnn train"], bar="<= 2.7"),
    ]  # fmt: skip
