"""Read the results of a run from the files of its folder.

metrics.csv         losses, speed, and the time that follows from them; bad rows are skipped
.hydra/             the config and the overrides
model.safetensors   its header has the number of parameters, and the characters per step
result.json         the metric that a sweep minimizes, and its value

The run may still be training, and the files are not trusted. Missing or unreadable values become
None.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.models import model_file
from charrnn.models.trained import LOSS, LOSS_AS_WRITTEN, find_loss
from charrnn.runs.folder import (
    MODEL_FILES,
    read_config,
    read_result,
    read_yaml,
    select,
    unescape_interpolations,
)

METRICS = "metrics.csv"
Row = dict[str, float]  # of metrics.csv
_NOT_IN_LOSS = ("seed", "trust", "logger", "tags")


@dataclass(frozen=True)
class Summary:
    """The results of a run. A file is read when one of its values is first used."""

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The recorded config. Raises InputError if it cannot be read."""
        return read_config(self.folder)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The facts of the model file; {} before the first model."""
        with contextlib.suppress(InputError):
            return model_file.read_facts(self.folder / MODEL_FILES[0])
        return {}

    @property
    def is_readable(self) -> bool:
        """Whether the model file can be read, if there is one."""
        return bool(self.facts) or not (self.folder / MODEL_FILES[0]).exists()

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of metrics.csv that have a step; each has only its finite numbers."""
        path, rows = self.folder / METRICS, []
        if not path.is_file():
            return []  # Opening a named pipe would block.
        with (
            contextlib.suppress(OSError, csv.Error),
            open(path, newline="", encoding="utf-8", errors="replace") as file,
        ):
            for line in csv.DictReader(file):
                if None in line.values():
                    continue  # The row is incomplete, because the run is writing it.
                numbers = ((name, to_number(text)) for name, text in line.items())
                row = {name: n for name, n in numbers if n is not None and math.isfinite(n)}
                if "step" in row:
                    rows.append(row)
        return rows

    @cached_property
    def overrides(self) -> list[str]:
        """The overrides of the run's command line."""
        with contextlib.suppress(InputError):
            lines = read_yaml(self.folder / ".hydra" / "overrides.yaml")
            if isinstance(lines, list):
                return [line for line in lines if isinstance(line, str)]
        return []

    @property
    def options(self) -> dict[str, str]:
        """The options of the command line, and their values as they were written."""
        # Hydra writes True in the overrides of a sweep's jobs, and true in those of a run.
        values = split_overrides(self.overrides).items()
        return {n: {"True": "true", "False": "false"}.get(v, v) for n, v in values}

    @cached_property
    def best(self) -> dict[str, Any]:
        """The numbers of the best model, in nats per character; None without validation.

        `loss` is the model's as it writes, `network_loss` its network's. Without the model file,
        the best row of metrics.csv counts. The `objective` is the value of the `metric` that the
        run's sweep minimizes.
        """
        facts, (metric, objective) = self.facts, read_result(self.folder)
        loss, network_loss = find_loss(facts, LOSS_AS_WRITTEN, LOSS), find_loss(facts, LOSS)
        step = _to_count(facts.get("step")) if loss is not None else None
        if loss is None and (row := find_best_row(self.rows)):
            loss, network_loss, step = get_loss(row), row["val/loss"], int(row["step"])
        return {"loss": loss, "network_loss": network_loss, "step": step, "metric": metric,
                "objective": objective}  # fmt: skip

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """The numbers of `best`, and of the whole training.

        `steps` is the last logged step; `seconds` are in training steps, resumes included;
        `characters_per_second` is the speed in these.
        """
        characters, speed = _to_count(self.facts.get("characters_a_step")), self._compute_speed()
        steps = int(self.rows[-1]["step"]) if self.rows else 0
        return {
            **self.best,
            "steps": steps,
            "parameters": _to_count(self.facts.get("parameters")),
            "seconds": round(steps * characters / speed, 1) if characters and speed else None,
            "characters_per_second": round(speed) if speed else None,
        }

    def _compute_speed(self) -> float | None:
        """Return the characters per second over all steps with a logged speed."""
        step = inverse = 0.0  # the sum over the steps of 1 / speed
        for row in self.rows:
            if speed := row.get("characters_per_second"):
                inverse += (row["step"] - step) / speed
                step = row["step"]
        return step / inverse if inverse > 0 else None

    @property
    def text(self) -> str:
        """The name of the text: its files or its corpus."""
        data = select(self.config, "data")
        data = data if isinstance(data, dict) else {}
        text = data.get("input_txt") or data.get("input_h5") or "?"
        paths = text if isinstance(text, list) else [text]
        return ", ".join(Path(unescape_interpolations(str(path))).name for path in paths)

    @property
    def fingerprint(self) -> str | None:
        """The hash of all splits, equal for runs whose losses are comparable; None: no model."""
        fingerprint = self.facts.get("fingerprint")
        return fingerprint if isinstance(fingerprint, str) else None

    @cached_property
    def config_without_seed(self) -> str:
        """The config and the text: equal for runs that differ only in seed, loggers and tags."""
        # Loggers and tags change no loss, and may contain the run's path. A resume can set trust.
        values = {n: v for n, v in self.config.items() if n not in _NOT_IN_LOSS}
        content = json.dumps([values, self.fingerprint], sort_keys=True, default=str)
        # Each run may name a place in its folder, such as a logger's: these are equal.
        return content.replace(json.dumps(str(self.folder.absolute()))[1:-1], "")


def name_ranking(runs: Collection[Summary]) -> str:
    """Return the number by which runs are ranked, "loss" or the "objective" of their sweep."""
    metrics = {run.best["metric"] for run in runs}
    return "objective" if len(metrics) == 1 and None not in metrics else "loss"


def find_best_run(runs: Collection[Summary], number: str = "") -> Summary | None:
    """Return the run with the lowest number; None if no run has it.

    Args:
        number: the name of the number; by default, that of `name_ranking`.
    """
    number = number or name_ranking(runs)
    ranked = [run for run in runs if run.best[number] is not None]
    return min(ranked, key=lambda run: run.best[number], default=None)


def find_best_row(rows: Sequence[Row]) -> Row | None:
    """Return the row of the lowest validation loss, or None without validation."""
    validated = [row for row in rows if "val/loss" in row]
    return min(validated, key=lambda row: row["val/loss"], default=None)


def get_loss(row: Row) -> float:
    """Return the loss as the model writes; the network's if only this one was measured."""
    return row.get("val/loss_as_written", row["val/loss"])


def split_overrides(words: Sequence[str]) -> dict[str, str]:
    """Return the options of overrides, and their values as they were written."""
    parts = (word.lstrip("+~").partition("=") for word in words)
    return {name: value for name, _, value in parts}


def to_number(value: Any) -> float | None:
    """Return a value as a number, or None if it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _to_count(fact: Any) -> int | None:
    """Return a fact of an untrusted file if it is a plausible count, otherwise None."""
    return fact if type(fact) is int and 0 < fact < 1 << 40 else None
