"""The models of the server, by their names: one file, or the runs below a folder."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fastapi import HTTPException

from charrnn.errors import shorten, suggest_name
from charrnn.files import OUTPUTS, is_plain_file, shorten_path
from charrnn.generation.sampler import Sampler
from charrnn.runs.folder import MODEL_FILES
from charrnn.runs.model_lookup import find_model, find_runs_by_age, read_model
from charrnn.runs.result import read_result


class ServedModel(NamedTuple):
    """A model's file, and the time at which it was written."""

    file: Path
    time_ns: int


def list_models(path: Path | None) -> dict[str, ServedModel]:
    """Return models by their names, the newest first.

    A model has the name of its training text, or else of its file or folder. Of equal names, those
    of older models have their folder beside them.

    Args:
        path: a model, or a folder with runs below it, which may be missing; None: no models.
    """
    found: dict[str, ServedModel] = {}
    for file in [] if path is None else _find_files(path):
        with contextlib.suppress(OSError):  # It was deleted a moment ago.
            name, model = _choose_name(file), ServedModel(file, file.stat().st_mtime_ns)
            found[f"{name} ({shorten_path(file.parent)})" if name in found else name] = model
    return found


def find_named(models: dict[str, ServedModel], name: str | None) -> tuple[str, ServedModel]:
    """Return the name and the file of a model; without a name, of the first one."""
    key = next(iter(models), "") if name is None else name
    if key in models:
        return key, models[key]
    message = "there is no model yet; `charrnn train my.txt` trains one"
    if models:
        hint = suggest_name(key, models, f"; there are {shorten(', '.join(models))}")
        message = f"there is no {shorten(key)!r}{hint}"
    raise HTTPException(404, f"model: {message}")


@lru_cache(maxsize=8)
def open_sampler(file: Path, time_ns: int) -> Sampler:
    """Return the sampler of a model."""
    return Sampler(read_model(file))


def _find_files(path: Path) -> list[Path]:
    """Return a model's file, or those of the runs in a folder. No link below it is followed."""
    if path != OUTPUTS and not path.is_dir():
        return [find_model(path)]
    files = []
    for run in find_runs_by_age(path):
        with contextlib.suppress(OSError):  # It has no model yet, or is deleted.
            if is_plain_file(run / MODEL_FILES[0]):
                files.append(run / MODEL_FILES[0])
    return files


def _choose_name(file: Path) -> str:
    result = read_result(file.parent)
    name = result.text if result and result.text else file.name
    folder = file.parent.name.encode("utf-8", "replace").decode()  # It may be no UTF-8.
    return folder if name == MODEL_FILES[0] else Path(name).stem
