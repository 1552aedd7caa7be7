"""Find and read the model that a user names: a run folder, a sweep, a file, or the newest run."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.errors import InputError
from charrnn.files import OUTPUTS, path_of_run, require_regular_file
from charrnn.models import read_any_format
from charrnn.runs import metrics_csv
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.models.trained import Trained, TrainedModel

AnyPath = str | os.PathLike[str]

# The model files of a run folder, the best first
IN_A_RUN = ("model.safetensors", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
_IN_A_SWEEP = "multirun.yaml"


def read_model(path: AnyPath | None) -> TrainedModel:
    """Read the model at a path: a run folder's best, a .ckpt, a model file, or a .t7.

    Raises:
        InputError: names the path and says why there is no model to read.
    """
    return read_any_format(find_model(path))


def read_models(
    paths: AnyPath | Sequence[AnyPath] | None, weights: Sequence[float] | None = None
) -> Trained:
    """Read one model, or several as an ensemble; a list of one path is that model alone.

    Args:
        paths: None: the newest (see `find_model`).
        weights: of the models of an ensemble, each above 0; None: all the same.

    Raises:
        InputError: names the path that cannot be read, or whose model knows other characters
            than the first; or there is not one weight for each.
    """
    from charrnn.models.trained import TrainedEnsemble
    from charrnn.options.ranges import POSITIVE, require

    if weights is not None:
        count = 1 if paths is None or isinstance(paths, (str, os.PathLike)) else len(paths)
        require(
            len(weights) == count > 1 and all(map(POSITIVE.admits, weights)),
            "weights",
            list(weights),
            f"needs several models, checkpoint=[a,b] say, and a number above 0 for each "
            f"({count} given)",
        )
    if paths is None or isinstance(paths, (str, os.PathLike)):
        return read_model(paths)
    if not paths:
        raise InputError("an ensemble needs one path or more")
    models = tuple(read_model(path) for path in paths)
    for path, model in zip(paths, models, strict=True):
        if model.vocabulary != models[0].vocabulary:
            raise InputError(
                f"{path}: knows other characters than {paths[0]}, or in another order; the models "
                f"of an ensemble are trained on one text"
            )
    if len(models) == 1:
        return models[0]
    return TrainedEnsemble(models, None if weights is None else tuple(weights))


def find_model(path: AnyPath | None) -> Path:
    """The file that `read_model` reads: the path itself, or the best model of a run folder.

    Of a sweep's folder it is that of the run with the lowest validation loss, and a line says so;
    of None that of the newest run below outputs/ that has one, or of the sweep that it is in.

    Raises:
        InputError: there is none.
    """
    if path is None:
        path = _newest()
        _tell(f"the newest model: {path}")
    path = Path(path_of_run(os.fspath(path)))
    if not os.path.isdir(path):
        require_regular_file(path, "`charrnn runs` lists the runs")
        return path
    if (model := _of_run(path)) is not None:
        return model
    if winner := _winner(path):
        _tell(f"the best run of {winner.parent}: {winner.name}")
        return find_model(winner)
    if (path / ".hydra").is_dir():
        raise InputError(
            f"{path}: has no model yet; the run writes one at its first validation or when it ends"
        )
    raise InputError(f"{path}: is no run folder; it has neither {IN_A_RUN[0]} nor checkpoints")


def _of_run(folder: Path) -> Path | None:
    return next((folder / name for name in IN_A_RUN if (folder / name).is_file()), None)


def _newest() -> Path:
    """The run that began last of those that have a model; of a sweep's run the sweep."""
    for run in runs_by_age():
        if _of_run(run) is not None:
            found = run.parent if (run.parent / _IN_A_SWEEP).is_file() else run
            return Path(os.path.relpath(found)) if found.is_relative_to(Path.cwd()) else found
    raise InputError(
        f"checkpoint=null: no run in {OUTPUTS}/ has a model yet; `charrnn train` writes one at its "
        f"first validation, or name a model: checkpoint=FILE"
    )


def runs_by_age() -> Iterator[Path]:
    """The run folders below outputs/, those of sweeps too, the last that began first."""
    latest = OUTPUTS / "latest"
    if latest.exists():  # mostly it has a model, and no other folder is looked at
        yield latest.resolve()
    # written when a run begins, and never again
    depths = ("*", "*/*", "*/*/*", "*/*/*/*")  # of a run or a sweep that was named, and of others
    records = [p for depth in depths for p in OUTPUTS.glob(f"{depth}/.hydra/overrides.yaml")]
    records.sort(key=lambda record: record.stat().st_mtime_ns, reverse=True)
    yield from (record.parent.parent.resolve() for record in records)


def _winner(sweep: Path) -> Path | None:
    """Of the runs in a folder that have a model the one whose model has the lowest loss."""
    folders = [folder for folder in sorted(sweep.iterdir()) if _of_run(folder) is not None]
    best = {folder: metrics_csv.find_best(metrics_csv.read_rows(folder)) for folder in folders}
    losses = {path: metrics_csv.loss_as_written(row) for path, row in best.items() if row}
    return min(losses, key=losses.__getitem__, default=None)


@functools.cache
def _tell(line: str) -> None:
    say(line)
