"""Describe a training to a client, by the files of its run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.extras.serve.lazy_models import stamp
from charrnn.extras.serve.trainings.store import WAITING, Store, Training
from charrnn.runs.folder import RECORDED, read_config
from charrnn.runs.summary import METRICS, Row, Summary

_POINTS = 300  # of a curve
_LEAST_SECONDS = 10.0  # of training, after which its length can be estimated


def describe(training: Training, store: Store) -> dict[str, Any]:
    """Return the facts of a training that a list shows. `position` is its place in the queue."""
    names = ("id", "name", "state", "error", "kind", "characters", "minutes", "created",
             "is_shared", "background", "start_from", "missing")  # fmt: skip
    with store.changed:
        is_waiting = training.state == WAITING
        position = store.list_waiting().index(training) + 1 if is_waiting else None
        facts = {name: getattr(training, name) for name in names}
    return {**facts, "position": position, "has_model": training.model.is_file()}


def stamp_files(training: Training) -> list[int]:
    """Return numbers that change when a training has progressed."""
    paths = [training.run / name for name in (RECORDED, METRICS, "samples", training.model.name)]
    return [stamp(path) for path in paths]


def describe_progress(training: Training) -> dict[str, Any]:
    """Return the network of a training, its losses, its samples, and the time that is left.

    The losses are those of the network: with counts, a curve is flat from its start.
    """
    rows = Summary(training.run).rows
    network = _read_network(training.run, stamp_files(training)[0])
    validated = [row for row in rows if "val/loss" in row]
    return {
        "network": network,
        "step": int(rows[-1]["step"]) if rows else 0,
        "seconds_left": network and _estimate_seconds_left(training, network, rows),
        "train": _thin_out([(r["step"], r["train/loss"]) for r in rows if "train/loss" in r]),
        "val": _thin_out([(row["step"], row["val/loss"]) for row in validated]),
        "samples": list(_read_samples(training.run / "samples")),
    }


@lru_cache(maxsize=256)
def _read_network(run: Path, stamp: int) -> dict[str, Any] | None:
    """Return what `charrnn.decide` chose in the process of a training; None before."""
    with suppress(InputError, KeyError, TypeError):
        config = read_config(run)
        names = ("kind", "num_layers", "hidden_size")
        chosen = {name: config["model"][name] for name in names}
        characters = config["data"]["batch_size"] * config["data"]["seq_length"]
        return {**chosen, "steps": config["trainer"]["max_steps"], "characters_a_step": characters}
    return None


def _estimate_seconds_left(
    training: Training, network: dict[str, Any], rows: Sequence[Row]
) -> float | None:
    """Return the remaining seconds of training; None in its first seconds."""
    speeds = [row["characters_per_second"] for row in rows if "characters_per_second" in row][-20:]
    if not speeds or not sum(speeds):
        return None
    size = min(network["characters_a_step"], training.characters)  # of a step
    seconds_a_step, step = size * len(speeds) / sum(speeds), rows[-1]["step"]
    if step * seconds_a_step < _LEAST_SECONDS:
        return None
    return round((network["steps"] - step) * seconds_a_step, 1)


def _read_samples(folder: Path) -> list[dict[str, Any]]:
    """Return the texts that were written at the validations."""
    samples = []
    for path in folder.glob("step-*.txt"):
        number = path.stem.removeprefix("step-")
        if number.isdecimal():
            text = path.read_text("utf-8", errors="replace")
            samples.append({"step": int(number), "text": text})
    return sorted(samples, key=lambda sample: sample["step"])


def _thin_out(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `_POINTS` points at even distances, with the first and the last."""
    last, count = len(points) - 1, min(len(points), _POINTS)
    return [points[round(i * last / max(1, count - 1))] for i in range(count)]
