"""How long a command takes before it does anything."""

from __future__ import annotations

import sys

from benchmarks.measuring import interleaved, run
from benchmarks.report import Row, row
from benchmarks.workplace import CHARRNN, Workplace


def measure(place: Workplace) -> list[Row]:
    data = place.data_options

    def python(code: str) -> float:
        return run([sys.executable, "-c", code], place.folder).seconds

    def first_step() -> float:
        ended, _ = place.train(*data, "trainer.max_steps=1", "validate_every=0")
        return ended.at("step 1 /")

    words = [f"checkpoint={place.trained / 'model.safetensors'}", "length=200", "seed=1"]
    quick = interleaved(
        {
            "charrnn --help": lambda: run([*CHARRNN, "--help"], place.folder).seconds,
            "sample": lambda: run([*CHARRNN, "sample", *words], place.folder).seconds,
            "sample imports": lambda: python("import hydra, numpy"),
        },
        place.effort,
    )
    slow = interleaved(
        {
            "charrnn train": first_step,
            "imports": lambda: python("import torch, lightning.pytorch, hydra, h5py"),
        },
        place.effort,
    )
    return [
        row("`charrnn --help`, the whole process", "s", quick["charrnn --help"], bar="<= 0.2"),
        row("importing Hydra and NumPy", "s", quick["sample imports"]),
        row("`charrnn sample length=200` from a model file, the whole process", "s",
            quick["sample"], bar="<= 0.37"),
        row("importing torch, Lightning, Hydra and h5py", "s", slow["imports"]),
        row("`charrnn train` until its first training step is done", "s", slow["charrnn train"],
            bar="<= 2.7"),
    ]  # fmt: skip
