"""The result of a run so far: result.json.

A run writes it when it starts, at each validation, when it is stopped and at its end. The table of
runs, the winner of a sweep, a study and the last lines of a training read only this file. A resume
never reads it. The file may come from anybody, so the types of its values are checked.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from charrnn.files import is_plain_file, replace_file
from charrnn.options.training import BEST_LOSS

RESULT = "result.json"
LARGEST = 1 << 20  # bytes


@dataclass
class Result:
    """The result of a run so far. Losses are in nats per character, and None if not measured."""

    folder: Path  # the run's folder, which the file does not name
    text: str = ""  # the name of the training text: its files or its corpus
    is_list: bool = False  # whether the text is a list
    fingerprint: str = ""  # the hash of all splits, equal for runs whose losses are comparable
    words: list[str] = field(default_factory=list)  # the command as its user typed it
    # the options that were swept, given or decided, with their values
    options: dict[str, Any] = field(default_factory=dict)
    network: str = ""  # the size and the kind of the network: 2 x 256 lstm
    parameters: int | None = None
    steps: int = 0  # trained so far
    characters: int = 0  # trained so far
    seconds: float = 0.0  # of the training so far with its validations, over all resumes
    step: int | None = None  # of the best model; without validation, of the newest
    network_loss: float | None = None  # of the best network, on the whole validation split
    loss: float | None = None  # of the best model as it writes
    counts_loss: float | None = None  # of the counts without the network
    # of the network on the characters of the two losses above, the first ones of a long split
    compared_loss: float | None = None
    optimized_metric: str | None = None  # which a sweep minimizes
    objective: float | None = None  # its value

    def write(self) -> None:
        """Replace result.json in the run's folder."""
        values = {name: value for name, value in vars(self).items() if name != "folder"}
        with replace_file(self.folder / RESULT) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


def read_result(folder: Path) -> Result | None:
    """Return the result in a run's folder; None if it is missing, damaged or another program's."""
    path, hints = folder / RESULT, _read_hints()
    try:
        # Checked before opening, because opening a named pipe would block.
        if not is_plain_file(path) or path.stat().st_size > LARGEST:
            return None
        content = json.loads(path.read_text("utf-8"))
        values = {name: content[name] for name in hints}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    is_valid = all(_has_type(values[name], hint) for name, hint in hints.items())
    return Result(folder, **values) if is_valid else None


@functools.cache
def _read_hints() -> dict[str, Any]:
    """Return the types of the fields in the file."""
    return {name: hint for name, hint in get_type_hints(Result).items() if name != "folder"}


def _has_type(value: Any, hint: Any) -> bool:
    """Return whether a value of JSON has the type of a field, and is no number beyond an int64."""
    if hint == list[str]:
        return isinstance(value, list) and all(type(item) is str for item in value)
    if hint == dict[str, Any]:
        return isinstance(value, dict)
    if isinstance(value, int | float) and not abs(value) < 2**63:
        return False
    return type(value) in (get_args(hint) or (hint,))


def rank(results: Collection[Result]) -> tuple[str, list[Result]]:
    """Return the metric that ranks some runs, and the runs, the best first.

    It is the one that all of them minimize, else the network's loss. Runs without it are last.
    """
    metrics = {result.optimized_metric for result in results}
    metric = metrics.pop() if len(metrics) == 1 else None

    def get_value(result: Result) -> float:
        value = result.network_loss if metric is None else result.objective
        return math.inf if value is None else value

    return metric or BEST_LOSS, sorted(results, key=get_value)
