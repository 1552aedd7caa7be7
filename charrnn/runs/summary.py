"""Read the results of a run from the files of its folder.

metrics.csv         losses, speed, and the time that follows from them; bad rows are skipped
.hydra/             the config and the overrides
model.safetensors   its header has the number of parameters, and the characters per step

The run may still be training, and the files are not trusted. Missing or unreadable values become
None.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.models import model_file
from charrnn.models.trained import LOSS, LOSS_AS_WRITTEN, find_loss
from charrnn.runs.folder import (
    is_run,
    read_config,
    read_result,
    read_yaml,
    select,
    unescape_interpolations,
)
from charrnn.say import say

METRICS = "metrics.csv"
Row = dict[str, float]  # of metrics.csv
_NOT_IN_LOSS = ("seed", "trust", "logger", "tags")
# The options that determine the characters of the validation split.
_SCORE_OPTIONS = ("data.input_txt", "data.input_h5", "data.val_frac", "data.test_frac",
              "data.encoding", "data.lines")  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """The results of a run.

    Attributes:
        numbers: of the best model `loss`, as it writes, `network_loss` (both in nats per
            character) and `step`; `steps`, the last logged step; `parameters`;
            `seconds` in training steps, resumes included; `characters_per_second` in these. A
            missing number, for example before the first model, is None.
        options: the overrides of the run's command line.
        text: the name of its text.
        fingerprint: of its text; None before the first model.
        scored_on: equal for two runs whose losses are comparable.
        config_without_seed: equal for two runs that differ only in their seed, loggers and tags.
    """

    folder: Path
    numbers: dict[str, Any]
    options: dict[str, str]
    text: str
    fingerprint: Any
    scored_on: tuple[str, ...]
    config_without_seed: str


def summarize_runs(folder: Path) -> list[Summary]:
    """Return the runs in or below a folder, sorted by path, without following links.

    Skip unreadable runs, and print their names on standard error.
    """
    summaries = []
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_run(Path(place)):
            folders.clear()
            try:
                summaries.append(summarize_run(Path(place)))
            except InputError as error:
                say(f"skipped a run: {error}")
    return summaries


def summarize_run(folder: Path) -> Summary:
    """Read one run. Raise InputError if its config cannot be read."""
    config, facts = read_config(folder), read_model_facts(folder)
    rows = read_rows(folder)
    speed = _average_speed(rows)
    characters = _to_count(facts.get("characters_a_step"))
    steps = int(rows[-1]["step"]) if rows else 0
    numbers = {
        **_find_best(folder, facts, rows),
        "steps": steps,
        "parameters": _to_count(facts.get("parameters")),
        "seconds": round(steps * characters / speed, 1) if characters and speed else None,
        "characters_per_second": round(speed) if speed else None,
    }
    given = split_overrides(read_overrides(folder))
    # Hydra writes True in the overrides of a sweep's jobs, and true in those of a run.
    options = {n: {"True": "true", "False": "false"}.get(v, v) for n, v in given.items()}
    text, fingerprint = name_text(config), facts.get("fingerprint")
    scored_on = (text, *(str(select(config, name)) for name in _SCORE_OPTIONS))
    # Loggers and tags change no loss, and may contain the run's path. A resume can set trust.
    without_seed = {n: v for n, v in config.items() if n not in _NOT_IN_LOSS}
    config_without_seed = json.dumps([without_seed, fingerprint], sort_keys=True, default=str)
    # A place in the run's own folder is the same place.
    config_without_seed = config_without_seed.replace(json.dumps(str(folder.absolute()))[1:-1], "")
    return Summary(folder, numbers, options, text, fingerprint, scored_on, config_without_seed)


def read_numbers(folder: Path) -> dict[str, Any]:
    """Return the losses of a run's best model, and the objective of its sweep."""
    return _find_best(folder, read_model_facts(folder), read_rows(folder))


def _find_best(folder: Path, facts: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return `loss`, `network_loss` and `step` of a run's best model; None without validation.

    Without facts, because the model file was removed, the best row of metrics.csv counts. The
    `objective` is the value of the `metric` that the run's sweep minimizes.
    """
    loss, network_loss = find_loss(facts, LOSS_AS_WRITTEN, LOSS), find_loss(facts, LOSS)
    step = _to_count(facts.get("step")) if loss is not None else None
    if loss is None and (best := find_best_row(rows)):
        loss, network_loss = get_loss(best), best["val/loss"]
        step = int(best["step"])
    metric, objective = read_result(folder)
    numbers = {"loss": loss, "network_loss": network_loss, "step": step}
    return {**numbers, "metric": metric, "objective": objective}


def name_ranking(runs: Mapping[Path, dict[str, Any]]) -> str:
    """Return the number by which runs are ranked, "loss" or the "objective" of their sweep."""
    metrics = {numbers["metric"] for numbers in runs.values()}
    return "objective" if len(metrics) == 1 and None not in metrics else "loss"


def find_best_run(runs: Mapping[Path, dict[str, Any]], ranking: str = "") -> Path | None:
    """Return the folder with the lowest number of this name, or None if no run has one.

    By default, this is the number of `name_ranking`.
    """
    name = ranking or name_ranking(runs)
    folders = [folder for folder, numbers in runs.items() if numbers[name] is not None]
    return min(folders, key=lambda folder: runs[folder][name], default=None)


def read_rows(folder: Path) -> list[Row]:
    """Return the rows of metrics.csv that have a step; each has only its finite numbers."""
    rows: list[Row] = []
    if not (folder / METRICS).is_file():
        return rows  # Opening a named pipe would block.
    with (
        contextlib.suppress(OSError, csv.Error),
        open(folder / METRICS, newline="", encoding="utf-8", errors="replace") as file,
    ):
        for line in csv.DictReader(file):
            if None in line.values():
                continue  # The row is incomplete, because the run is writing it.
            numbers = ((name, to_number(text)) for name, text in line.items())
            row = {name: n for name, n in numbers if n is not None and math.isfinite(n)}
            if "step" in row:
                rows.append(row)
    return rows


def to_number(value: Any) -> float | None:
    """Return a value as a number, or None if it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def find_best_row(rows: Sequence[Row]) -> Row | None:
    """Return the row of the lowest validation loss, or None without validation."""
    validated = [row for row in rows if "val/loss" in row]
    return min(validated, key=lambda row: row["val/loss"], default=None)


def get_loss(row: Row) -> float:
    """Return the loss as the model writes; the network's if only this one was measured."""
    return row.get("val/loss_as_written", row["val/loss"])


def name_text(config: dict[str, Any]) -> str:
    """Return the name of a run's text: its files or its corpus."""
    data = select(config, "data")
    data = data if isinstance(data, dict) else {}
    text = data.get("input_txt") or data.get("input_h5") or "?"
    paths = text if isinstance(text, list) else [text]
    return ", ".join(Path(unescape_interpolations(str(path))).name for path in paths)


def read_model_facts(folder: Path) -> dict[str, Any]:
    """Return the facts of the run's model file, or {} if it is missing."""
    with contextlib.suppress(InputError):
        return model_file.read_facts(folder / "model.safetensors")
    return {}


def read_overrides(folder: Path) -> list[str]:
    """Return the overrides of the run's command line."""
    with contextlib.suppress(InputError):
        lines = read_yaml(folder / ".hydra" / "overrides.yaml")
        return [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
    return []


def split_overrides(words: Sequence[str]) -> dict[str, str]:
    """Return the options of overrides, and their values as they were written."""
    parts = (word.lstrip("+~").partition("=") for word in words)
    return {name: value for name, _, value in parts}


def _average_speed(rows: Sequence[Row]) -> float | None:
    """Return the characters per second over all steps with a logged speed."""
    step = inverse = 0.0  # the sum over the steps of 1 / speed
    for row in rows:
        if speed := row.get("characters_per_second"):
            inverse += (row["step"] - step) / speed
            step = row["step"]
    return step / inverse if inverse > 0 else None


def _to_count(fact: Any) -> int | None:
    """Return a fact of an untrusted file if it is a plausible count, otherwise None."""
    return fact if type(fact) is int and 0 < fact < 1 << 40 else None
