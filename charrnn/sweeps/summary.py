"""What a run reached, read from the files of its folder.

metrics.csv         losses, speed, and from them the time
.hydra/             the config, the overrides, the choices of the groups
model.safetensors   the size of the network, from its header alone
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn import metrics_csv
from charrnn.errors import InputError, did_you_mean, shown
from charrnn.runs import run_history
from charrnn.runs.folder import is_run, read_config, recorded
from charrnn.runs.recorded_config import MISSING, found, leaves
from charrnn.say import say

# what decides which characters a validation loss is of
_SCORED_ON = ("data.input_txt", "data.input_h5", "data.val_frac", "data.test_frac",
              "data.encoding", "data.lines")  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """A run, in numbers.

    Attributes:
        numbers: val/loss, the lowest, in nats per character; step, after which that was; steps,
            the last that is logged; parameters; seconds in training steps, in all of its
            processes' lives; characters_per_second in these. None where it is not known.
        options: the overrides that the run was begun with, and the choice of each group.
        config: as the run recorded it.
        text: what the text is called that it was trained on.
        files: the HDF5 and the JSON of that text.
    """

    folder: Path
    numbers: dict[str, Any]
    options: dict[str, str]
    config: dict[str, Any]
    text: str
    files: tuple[str, ...]

    @property
    def loss(self) -> float | None:
        loss: float | None = self.numbers["val/loss"]
        return loss

    @property
    def scored_on(self) -> tuple[str, ...]:
        """What it has in common with the runs whose losses compare with its own."""
        return (self.text, *(str(found(self.config, name)) for name in _SCORED_ON))

    @property
    def but_for_the_seed(self) -> str:
        rest = {name: value for name, value in self.config.items() if name != "seed"}
        return json.dumps(rest, sort_keys=True, default=str)

    def value(self, name: str) -> Any:
        """A number, or an option as it was recorded or written; None where there is none."""
        if name in self.numbers:
            return self.numbers[name]
        value = found(self.config, name)
        # a text, such as a path or the choice of a group, is shorter as it was written
        if name in self.options and (value is MISSING or isinstance(value, dict | str)):
            return self.options[name]
        return None if value is MISSING else value


def summaries(folder: Path) -> list[Summary]:
    """The runs below a folder, or in it, in the order of their names; links are not followed.

    One that cannot be read is named in a line and left out. What takes long shows a bar.
    """
    from tqdm import tqdm

    result = []
    runs = sorted(_runs(folder))
    for run in tqdm(runs, "reading the runs", leave=False, unit=" runs", delay=2, disable=None):
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
    facts, lowest = run_history.facts(folder), metrics_csv.best(rows)
    characters, seconds = run_history.trained(rows, config, facts)
    names = ("input_h5", "input_json")
    files = [facts.get(name) or found(config, f"data.{name}") for name in names]
    numbers = {
        "val/loss": None if lowest is None else lowest["val/loss"],
        "step": None if lowest is None else int(lowest["step"]),
        "steps": int(rows[-1]["step"]) if rows else 0,
        "parameters": run_history.parameters(folder, config),
        "seconds": round(seconds, 1) if seconds else None,
        "characters_per_second": round(characters / seconds) if seconds else None,
    }
    return Summary(
        folder=folder,
        numbers=numbers,
        options=_options(folder),
        config=config,
        text=run_history.text(config),
        files=tuple(str(path) for path in files if isinstance(path, str)),
    )


def _options(folder: Path) -> dict[str, str]:
    options: dict[str, str] = {}
    # a folder that another program made may lack them, or hold anything
    with contextlib.suppress(InputError, KeyError, TypeError, AttributeError):
        choices = read_config(folder / ".hydra" / "hydra.yaml")["hydra"]["runtime"]["choices"]
        options = {
            str(group): str(choice)
            for group, choice in choices.items()
            if choice is not None and not str(group).startswith("hydra")
        }
    return {**options, **run_history.options_given(folder)}


def require_known(option: str, name: str, runs: Sequence[Summary]) -> None:
    """Raise InputError for a name that no run has, with the nearest one that they have."""
    if runs and all(run.value(name) is None for run in runs):
        known = {key for run in runs for key in (*run.numbers, *run.options)}
        known |= {key for run in runs for key, _ in leaves(run.config)}
        if name not in known:
            raise InputError(f"{option}={shown(name)}: no run has it{did_you_mean(name, known)}")
