"""What a run reached, read from the files of its folder.

metrics.csv         losses, speed, and from them the time
.hydra/             the config and the overrides
model.safetensors   of its header: the size of the network, the characters of a step

They may be of a run that is being trained, that was killed, or that another program made: what
is not there or cannot be read is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.models import model_file
from charrnn.runs import metrics_csv
from charrnn.runs.folder import is_run, read_yaml, recorded
from charrnn.runs.metrics_csv import Row
from charrnn.runs.recorded_config import select
from charrnn.say import say

# what decides which characters a validation loss is of
_SCORED_ON = ("data.input_txt", "data.input_h5", "data.val_frac", "data.test_frac",
              "data.encoding", "data.lines")  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """A run, in numbers.

    Attributes:
        numbers: loss, of the best model as it writes, in nats per character; val/loss, of its
            network alone; step, after which that was; steps, the last that is logged; parameters;
            seconds in training steps, in all of its processes' lives; characters_per_second in
            these. None where it is not known, as before there is a model.
        facts: of its model file.
        options: the overrides that the run was begun with.
        config: as the run recorded it.
    """

    folder: Path
    numbers: dict[str, Any]
    options: dict[str, str]
    config: dict[str, Any]
    facts: dict[str, Any]

    @property
    def loss(self) -> float | None:
        loss: float | None = self.numbers["loss"]
        return loss

    @property
    def text(self) -> str:
        """What it was trained on."""
        return text_name(self.config)

    @property
    def scored_on(self) -> tuple[str, ...]:
        """What it has in common with the runs whose losses compare with its own."""
        return (self.text, *(str(select(self.config, name)) for name in _SCORED_ON))

    @property
    def fingerprint(self) -> Any:
        """Of its text, which may have changed under the same name; None before there is a model."""
        return self.facts.get("fingerprint")

    @property
    def config_without_seed(self) -> str:
        rest = {name: value for name, value in self.config.items() if name != "seed"}
        return json.dumps([rest, self.fingerprint], sort_keys=True, default=str)

    def value(self, name: str) -> Any:
        """A number, or an option as it was typed; None where it was not."""
        return self.numbers.get(name, self.options.get(name))


def summaries(folder: Path) -> list[Summary]:
    """The runs below a folder, or in it, in the order of their names; links are not followed.

    One that cannot be read is named in a line and left out.
    """
    result = []
    for run in sorted(_runs(folder)):
        try:
            result.append(summary(run))
        except InputError as error:
            say(f"left out: {error}")
    return result


def _runs(folder: Path) -> Iterator[Path]:
    for place, folders, _ in os.walk(folder):
        if is_run(Path(place)):
            folders.clear()
            yield Path(place)
        folders[:] = [name for name in folders if not name.startswith(".")]


def summary(folder: Path) -> Summary:
    """Read one run.

    Raises:
        InputError: its config cannot be read.
    """
    config, rows = recorded(folder), metrics_csv.read(folder)
    facts = model_facts(folder)
    best = metrics_csv.best(rows)
    speed = _characters_per_second(rows)
    characters = _count(facts.get("characters_a_step"))
    steps = int(rows[-1]["step"]) if rows else 0
    numbers = {
        "loss": None if best is None else metrics_csv.loss_as_written(best),
        "val/loss": None if best is None else best["val/loss"],
        "step": None if best is None else int(best["step"]),
        "steps": steps,
        "parameters": _count(facts.get("parameters")),
        "seconds": round(steps * characters / speed, 1) if characters and speed else None,
        "characters_per_second": round(speed) if speed else None,
    }
    pairs = (line.lstrip("+~").partition("=") for line in overrides(folder))
    # a sweep writes True where a person wrote true
    options = {n: {"True": "true", "False": "false"}.get(v, v) for n, _, v in pairs}
    return Summary(folder, numbers, options, config, facts)


def text_name(config: dict[str, Any]) -> str:
    """What the text that a run was trained on is called: a file's name, or a corpus's."""
    data = select(config, "data")
    data = data if isinstance(data, dict) else {}
    text = data.get("input_txt") or data.get("corpus") or data.get("input_h5") or "?"
    return ", ".join(Path(str(path)).name for path in (text if isinstance(text, list) else [text]))


def model_facts(folder: Path) -> dict[str, Any]:
    """What the run's model file says of the training; empty before there is one."""
    with contextlib.suppress(InputError):
        return model_file.facts(folder / "model.safetensors")
    return {}


def overrides(folder: Path) -> list[str]:
    """The overrides of the run, as they were typed."""
    with contextlib.suppress(InputError):
        lines = read_yaml(folder / ".hydra" / "overrides.yaml")
        if isinstance(lines, list):
            return [line for line in lines if isinstance(line, str)]
    return []


def _characters_per_second(rows: Sequence[Row]) -> float | None:
    """Of all steps that have a speed."""
    before = seconds = 0.0  # seconds for a character of each step
    for row in rows:
        if speed := row.get("characters_per_second"):
            seconds += (row["step"] - before) / speed
            before = row["step"]
    return before / seconds if seconds > 0 else None


def _count(fact: Any) -> int | None:
    """A number of things that somebody's model file states; None where it is none."""
    return fact if type(fact) is int and 0 < fact < 1 << 40 else None
