"""Run folders as they are after training, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HEADER = "step,epoch,train/loss,val/loss,val/bits_per_character,lr,characters_per_second\n"


def write_run(
    folder: Path,
    losses: list[tuple[int, float | None]],
    speed: float = 1000.0,
    overrides: tuple[str, ...] = (),
    **config: Any,
) -> Path:
    """A run of 2 x 10 characters a step, with (step, validation loss) as it logged them."""
    (folder / ".hydra").mkdir(parents=True)
    known = {"data": {"batch_size": 2, "seq_length": 10}, "trainer": {}, **config}
    for name, _, value in (override.partition("=") for override in overrides):
        group, _, option = name.partition(".")
        if option and not group.startswith("+"):
            known.setdefault(group, {})[option] = value
    for name, content in (("config", known), ("overrides", list(overrides))):
        (folder / ".hydra" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    rows = "".join(f"{s},1.0,2.0,{'' if v is None else v},,0.1,{speed}\n" for s, v in losses)
    (folder / "metrics.csv").write_text(HEADER + rows)
    return folder
