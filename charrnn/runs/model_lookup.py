"""Find and read the model that a user names by a run, a sweep or a file; default: the newest."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.errors import InputError
from charrnn.files import OUTPUTS, require_regular_file, resolve_run_path, shorten_path
from charrnn.runs.folder import (
    LATEST,
    MODEL_FILES,
    find_best_file,
    find_runs,
    is_run,
    is_sweep,
)
from charrnn.runs.result import RESULT, rank, read_result
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.models.trained import TrainedModel

AnyPath = str | os.PathLike[str]


def read_model(path: AnyPath | None) -> TrainedModel:
    """Read the model at a path: a run folder, a .ckpt, a model file, or a .t7.

    The content of the file decides its format. No code in it is executed.
    """
    file = find_model(path)
    try:
        with file.open("rb") as opened:
            start = opened.read(9)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    if start[8:] == b"{" or file.suffix == ".safetensors":
        from charrnn.models import model_file

        return model_file.load(file)
    if start.startswith(b"PK\x03\x04") or file.suffix == ".ckpt":  # a zip archive
        from charrnn.models import checkpoint

        return checkpoint.read_model(file)
    for reader in plugins.import_modules(plugins.MODEL_READERS):
        if reader.reads(start, file):
            return reader.read_model(file)
    raise InputError(
        f"{file}: {'is no model' if start else 'is empty'}; a model is a run folder, its .ckpt, "
        f"a model file (.safetensors) or torch-rnn's .t7 (`charrnn evaluate` takes a text as "
        f"data.input_txt=)"
    )


def find_model(path: AnyPath | None) -> Path:
    """Return the file of a model. Raise InputError if there is none.

    Args:
        path: a file; a run's folder: its best model; a sweep's folder: the model of its best run;
            None: the newest run or sweep in outputs/ with a model, as for outputs/latest if its run
            was deleted. A line on standard error names the choice in the last two cases.
    """
    if path is not None and Path(path) == LATEST and not LATEST.exists():
        path = None
    if path is None and (path := find_newest()) is None:
        raise InputError(
            f"no run in {OUTPUTS}/ has a model yet; `charrnn train` writes one at its first "
            f"validation; or name a model: checkpoint=FILE"
        )
    path = Path(resolve_run_path(os.fspath(path)))
    if not os.path.isdir(path):
        require_regular_file(path, "`charrnn runs` lists the runs")
        return path
    if (model := find_best_file(path)) is not None:
        return model
    jobs = [read_result(job) for job in sorted(path.iterdir()) if find_best_file(job)]
    _, ranked = rank([job for job in jobs if job is not None])
    if ranked:
        _say_once(f"the best run of {path}: {ranked[0].folder.name}")
        return find_model(ranked[0].folder)
    if is_run(path):
        raise InputError(
            f"{path}: has no model yet; the run writes it at its first validation or when it ends"
        )
    raise InputError(f"{path}: is not a run folder; it has no {MODEL_FILES[0]} and no checkpoints")


def find_newest() -> str | None:
    """Return and print the newest run in outputs/ with a model; its sweep, if it is part of one."""
    for run in find_runs_by_age():
        if find_best_file(run) is not None:
            path = shorten_path(run.parent if is_sweep(run.parent) else run)
            _say_once(f"the newest model: {path}")
            return path
    return None


def find_runs_by_age(folder: Path = OUTPUTS) -> list[Path]:
    """Return the run folders in a folder, including runs of sweeps; the newest is first."""
    return sorted(find_runs(folder), key=_get_time, reverse=True)


def _get_time(run: Path) -> int:
    """Return the time at which a run last wrote its result; 0 if it has none."""
    result = run / RESULT
    return result.stat().st_mtime_ns if result.is_file() else 0


@functools.cache
def _say_once(line: str) -> None:
    say(line)
