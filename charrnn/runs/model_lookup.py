"""Find and read the model that a user names by a run, a sweep or a file; default: the newest."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from charrnn import plugins
from charrnn.errors import InputError
from charrnn.files import OUTPUTS, require_regular_file, resolve_run_path, shorten_path
from charrnn.models import model_file
from charrnn.models.trained import TrainedModel
from charrnn.runs.folder import MODEL_FILES, find_best_file, find_runs, is_run, is_sweep
from charrnn.runs.result import RESULT, rank, read_result
from charrnn.say import say

AnyPath = str | os.PathLike[str]


def read_model(path: AnyPath | None) -> TrainedModel:
    """Read the model at a path: a run folder, a .ckpt, a .t7, or a model file of any other name.

    No code in the file is executed.
    """
    file = find_model(path)
    for reader in plugins.import_modules(plugins.MODEL_READERS.get(file.suffix, [])):
        model: TrainedModel = reader.read_model(file)
        return model
    return model_file.load(file)


def find_model(path: AnyPath | None) -> Path:
    """Return the file of a model. Raise InputError if there is none.

    Args:
        path: a file; a run's folder: its best model; a sweep's folder: the model of its best run;
            None: the newest run in outputs/ with a model, or the sweep of which it is a part. A
            line on standard error names the choice in the last two cases.
    """
    if path is None:
        newest = next(filter(find_best_file, find_runs_by_age()), None)
        if newest is None:
            raise InputError(
                f"no run in {OUTPUTS}/ has a model yet; `charrnn train` writes one at its first "
                f"validation; or name a model: checkpoint=FILE"
            )
        path = shorten_path(newest.parent if is_sweep(newest.parent) else newest)
        say(f"the newest model: {path}")
    path = Path(resolve_run_path(os.fspath(path)))
    if not os.path.isdir(path):
        require_regular_file(path, "`charrnn runs` lists the runs")
        return path
    if (model := find_best_file(path)) is not None:
        return model
    jobs = [read_result(job) for job in sorted(path.iterdir()) if find_best_file(job)]
    for best in rank([job for job in jobs if job is not None])[1][:1]:
        say(f"the best run of {path}: {best.folder.name}")
        return find_model(best.folder)
    if is_run(path):
        raise InputError(
            f"{path}: has no model yet; the run writes it at its first validation or when it ends"
        )
    raise InputError(f"{path}: is not a run folder; it has no {MODEL_FILES[0]} and no checkpoints")


def find_runs_by_age(folder: Path = OUTPUTS) -> list[Path]:
    """Return the run folders in a folder, including runs of sweeps; the newest is first."""
    return sorted(find_runs(folder), key=_get_time, reverse=True)


def _get_time(run: Path) -> int:
    """Return the time at which a run last wrote its result; 0 if it has none."""
    with contextlib.suppress(OSError):  # It may be deleted meanwhile.
        return (run / RESULT).stat().st_mtime_ns
    return 0
