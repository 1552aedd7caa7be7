"""What a run reached, read from the files of its folder.

metrics.csv         losses, speed, and from them the time
.hydra/             the config, the overrides, the choices of the groups
model.safetensors   the size of the network, from its header alone
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from charrnn import metrics_csv
from charrnn.errors import InputError, shown
from charrnn.runs import run_history
from charrnn.runs.folder import is_run, read_config, recorded
from charrnn.runs.recorded_config import MISSING, found
from charrnn.say import say


@dataclass(frozen=True)
class Summary:
    """A run, in numbers.

    Attributes:
        loss: the lowest validation loss, nats per character; None without validation.
        step: after which step that was.
        steps: the last step that is logged.
        parameters: trained numbers; None before there is a model file.
        seconds: spent in training steps, in all of its processes' lives; not in validation.
        speed: characters a second in these.
        options: the overrides that the run was begun with, and the choice of each group.
        config: as the run recorded it.
        text: what the text is called that it was trained on.
        files: the HDF5 and the JSON of that text.
    """

    folder: Path
    loss: float | None
    step: int | None
    steps: int
    parameters: int | None
    seconds: float | None
    speed: float | None
    options: dict[str, str]
    config: dict[str, Any]
    text: str
    files: tuple[str, ...]

    COLUMNS: ClassVar = ("val/loss", "step", "steps", "parameters", "seconds",
                         "characters_per_second")  # fmt: skip

    @property
    def begun(self) -> float:
        """When it began, in seconds since 1970."""
        with contextlib.suppress(OSError):
            return (self.folder / ".hydra" / "overrides.yaml").stat().st_mtime
        return 0.0

    def columns(self) -> dict[str, Any]:
        """The numbers under the names that tables have for them."""
        seconds = None if self.seconds is None else round(self.seconds, 1)
        speed = None if self.speed is None else round(self.speed)
        values = (self.loss, self.step, self.steps, self.parameters, seconds, speed)
        return dict(zip(self.COLUMNS, values, strict=True))

    def value(self, name: str) -> Any:
        """A column, or an option as it was recorded or written; MISSING where there is none."""
        columns = {**self.columns(), "text": self.text}
        if name in columns:
            return columns[name]
        recorded = found(self.config, name)
        # a text, such as a path or the choice of a group, is shorter as it was written
        is_text = recorded is MISSING or isinstance(recorded, dict | str)
        return self.options[name] if is_text and name in self.options else recorded


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
    config = recorded(folder)
    rows = metrics_csv.read(folder)
    lowest = metrics_csv.best(rows)
    facts = run_history.facts(folder)
    characters, seconds = run_history.trained(rows, config, facts)
    return Summary(
        folder=folder,
        loss=None if lowest is None else lowest["val/loss"],
        step=None if lowest is None else int(lowest["step"]),
        steps=int(rows[-1]["step"]) if rows else 0,
        parameters=run_history.parameters(folder, config),
        seconds=seconds or None,
        speed=characters / seconds if seconds else None,
        options=_options(folder),
        config=config,
        text=run_history.text(config),
        files=_files(facts, config),
    )


def _files(facts: dict[str, Any], config: dict[str, Any]) -> tuple[str, ...]:
    names = ("input_h5", "input_json")
    known = [facts.get(name) or found(config, f"data.{name}") for name in names]
    return tuple(str(path) for path in known if isinstance(path, str))


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
    return {**options, **run_history.asked(folder)}


def require_known(option: str, name: str, runs: Sequence[Summary]) -> None:
    """Raise InputError for a name that no run has, with the nearest one that they have."""
    if runs and all(run.value(name) is MISSING for run in runs):
        known = [*Summary.COLUMNS, *(key for run in runs for key in _names(run))]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(Summary.COLUMNS)}"
        raise InputError(f"{option}={shown(name)}: no run has it; {hint}")


def _names(run: Summary) -> list[str]:
    names = list(run.options)

    def collect(config: dict[str, Any], prefix: str) -> None:
        for name, value in config.items():
            names.append(f"{prefix}{name}")
            if isinstance(value, dict):
                collect(value, f"{prefix}{name}.")

    collect(run.config, "")
    return names
