"""The models of the server, by their names: one file, or the runs below a folder."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path

from fastapi import HTTPException

from charrnn.data import get_corpus_name
from charrnn.errors import InputError, shorten, suggest_name
from charrnn.files import OUTPUTS, is_plain_file, shorten_path
from charrnn.generation.sampler import Sampler
from charrnn.models.model_file import read_facts
from charrnn.models.trained import select_counts
from charrnn.runs.folder import MODEL_FILES, find_best_file, is_run, is_sweep
from charrnn.runs.model_lookup import find_model, find_runs_by_age, read_model


def list_models(path: Path | None) -> dict[str, Path]:
    """Return model files by their names, the newest first.

    A model has the name of its training text, or of its folder. Of equal names, those of older
    models have their folder beside them.

    Args:
        path: a model, or a folder with runs below it, which may be missing; None: no models.
    """
    found: dict[str, Path] = {}
    for file in [] if path is None else _find_files(path):
        name = _choose_name(file, file.stat().st_mtime_ns)
        found[f"{name} ({shorten_path(file.parent)})" if name in found else name] = file
    return found


def find_named(models: dict[str, Path], name: str | None) -> tuple[str, Path]:
    """Return the name and the file of a model; without a name, of the first one."""
    key = next(iter(models), "") if name is None else name
    if key in models:
        return key, models[key]
    message = "there is no model yet; `charrnn train my.txt` trains one"
    if models:
        hint = suggest_name(key, models, f"; there are {shorten(', '.join(models))}")
        message = f"there is no {shorten(key)!r}{hint}"
    raise HTTPException(404, f"model: {message}")


def open_sampler(file: Path, plain: bool = False) -> Sampler:
    """Return the sampler of a model, or of its plain network."""
    return _open_sampler(file, file.stat().st_mtime_ns, plain)


@lru_cache(maxsize=8)
def _open_sampler(file: Path, time: int, plain: bool) -> Sampler:
    return Sampler(select_counts(read_model(file), "auto", plain))


def _find_files(path: Path) -> list[Path]:
    """Return a model's file, or those of the runs below a folder. No link below it is followed."""
    is_folder = path == OUTPUTS or path.is_dir()
    if not is_folder or is_run(path) or is_sweep(path) or find_best_file(path):
        return [find_model(path)]
    root = path.resolve()
    runs = dict.fromkeys(run for run in find_runs_by_age(path) if run.is_relative_to(root))
    files = (run / MODEL_FILES[0] for run in runs)
    return [file for file in files if file.exists() and is_plain_file(file)]


@lru_cache(maxsize=1024)
def _choose_name(file: Path, time: int) -> str:
    with contextlib.suppress(InputError):  # It is damaged, or no model file.
        if name := get_corpus_name(read_facts(file)):
            return name
    return file.parent.name.encode("utf-8", "replace").decode()  # It may be no UTF-8.
