"""Where a run begins: anew, in its own folder again, or from a checkpoint.

a new run         the folder that Hydra made
resume=FOLDER     the same folder, its recorded config, its newest whole checkpoint;
                  of a sweep's job that has not begun, the config that the sweep recorded
resume=X.ckpt     a new folder, the config in the checkpoint
resume=auto       the newest unfinished run of this config, else a new one;
                  in a sweep each job's own folder: gone on with, or begun
"""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.datasets import without_default_corpus
from charrnn.runs import folder as folders
from charrnn.runs.merging import is_same_run, merged
from charrnn.runs.older import upgraded
from charrnn.runs.record import Record, found, record_of
from charrnn.runs.request import Config, Request
from charrnn.runs.restore import newest_usable
from charrnn.say import say
from charrnn.sweeps import jobs
from charrnn.training.checkpoints import LAST


@dataclass(frozen=True)
class Beginning:
    """The folder of a run, its config, and what it goes on from.

    Attributes:
        source: the folder itself, a .ckpt, or None for a new run.
        overrides: as a new run records them.
    """

    folder: Path
    config: Config
    source: Path | None
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint that a run goes on from; without a path, the run is new.

    Attributes:
        entry: what charrnn wrote into it.
        step: how many steps it was trained.
    """

    path: Path | None = None
    entry: dict[str, Any] | None = None
    step: int = 0

    @classmethod
    def at(cls, path: Path | None, content: dict[str, Any] | None = None) -> ResumePoint:
        """Raises InputError: the checkpoint cannot be read, or a run cannot go on from it."""
        if path is None:
            return cls()
        content = content or checkpoint.read_run(path)
        # the weights and the optimizer's state are let go of: Lightning reads them once more
        return cls(path, content[ENTRY], int(content["global_step"]))


def beginning(request: Request) -> Beginning:
    """Where this run begins.

    Raises:
        InputError: it cannot; nothing is written or removed then.
    """
    folder, resume = request.folder, request.config["resume"]
    if resume is None and _is_started_again(request):
        resume = "auto"
    if resume is None:
        folders.refuse_run(folder)
        return Beginning(folder, absolute(_with_one_text(request)), None, request.overrides)
    if resume == "auto":
        return _automatic(request)
    target = Path(resume).resolve()
    if target.is_dir() and (target / folders.RECORDED).is_file():
        return _again(target, request)
    if job := jobs.record_for(target, request.config, request.choices, request.overrides):
        return Beginning(target, _merged(job.record, request), None, job.overrides)
    if target.is_dir():
        raise InputError(
            f"{resume}: not a run folder (it has no {folders.RECORDED}); "
            f"give one that `charrnn train` made, or a .ckpt"
        )
    return Beginning(folder, _merged(checkpoint_record(resume), request), target, request.overrides)


def checkpoint_record(path: str) -> Record:
    """What the run of a checkpoint was begun with.

    Raises:
        InputError: it cannot be read, or is no record.
    """
    changed = os.stat(path).st_mtime_ns if os.path.exists(path) else 0
    return _read_once(os.path.abspath(path), changed, path)


@functools.lru_cache(maxsize=1)
def _read_once(place: str, changed: int, path: str) -> Record:
    """Reading a checkpoint takes its time, and it is asked for what it was made of twice."""
    entry = checkpoint.read_run(Path(path))[ENTRY]
    return record_of(entry["config"], entry.get("choices", {}), path)


def resume_point(begins: Beginning) -> ResumePoint:
    """The checkpoint to go on from; of a run folder, which is locked by now, the newest."""
    if begins.source != begins.folder:
        return ResumePoint.at(begins.source)
    path, content = newest_usable(begins.folder)
    if path is None:
        say(f"{begins.folder}: has no checkpoint yet; the run starts from its beginning")
    return ResumePoint.at(path, content)


def absolute(config: Config) -> Config:
    """The config with its paths absolute, so that a resume may stand in any folder."""
    data = dict(config["data"])
    for name in ("input_txt", "input_h5", "input_json"):
        value = data.get(name)
        if isinstance(value, list):
            data[name] = [os.path.abspath(v) for v in value]
        elif value is not None:
            data[name] = os.path.abspath(value)
    init_from = config["init_from"]
    if init_from is not None:
        # outputs/latest will be another run once this one has begun
        init_from = os.path.realpath(init_from)
    teachers = _absolute_teachers(config)
    return {**config, "data": data, "init_from": init_from, **teachers, "resume": None}


def _absolute_teachers(config: Config) -> Config:
    """`distill_from` as it is recorded: a list, for which the above holds, too."""
    paths = config["distill_from"]
    if paths is not None:
        paths = [os.path.realpath(p) for p in ([paths] if isinstance(paths, str) else paths)]
    return {"distill_from": paths}


def _with_one_text(request: Request) -> Config:
    data = without_default_corpus(request.config["data"], request.given)
    return {**request.config, "data": data}


def _again(folder: Path, request: Request) -> Beginning:
    config = _merged(folders.read_record(folder), request)
    return Beginning(folder, config, folder, request.overrides)


def _merged(record: Record, request: Request) -> Config:
    """A recorded config with what was asked for today, such as another place of the same text."""
    # named from another folder they are the same
    request = replace(request, config={**request.config, **_absolute_teachers(request.config)})
    try:
        config = merged(record, request)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{record.source}: its config is none that charrnn wrote ({what})"
        ) from error
    return absolute({**config, "data": without_default_corpus(config["data"], ())})


def _is_started_again(request: Request) -> bool:
    """Whether a launcher put this job of a sweep into its queue again, and it began already."""
    launched = "SUBMITIT_EXECUTOR" in os.environ and bool(request.job_id)
    return (
        launched
        and folders.is_run(request.folder)
        and folders.job_id(request.folder) == request.job_id
    )


def _automatic(request: Request) -> Beginning:
    folder = request.folder
    now = absolute(_with_one_text(request))
    if request.job_id:
        if (folder / folders.RECORDED).is_file():
            return _again(folder, _without_resume(request))
        return Beginning(folder, now, None, request.overrides)
    for other in folders.run_folders(folder.parent.parent):
        if other != folder and _is_unfinished(other, now):
            folders.unmake(folder)
            # what it was begun with is what is given; who asks for a logger still does
            loggers = tuple(key for key in request.given if key.split(".")[0] == "logger")
            return _again(other, _without_resume(request, loggers))
    folders.refuse_run(folder)
    return Beginning(folder, now, None, request.overrides)


def _without_resume(request: Request, given: tuple[str, ...] | None = None) -> Request:
    kept = request.given if given is None else given
    # what the run was begun from is recorded, as is what was left open then, such as seed=null;
    # a resume does not ask for it again
    left_open = {key for key in request.fixed if found(request.config, key) is None}
    past = {"resume", "init_from", *left_open}
    return replace(request, given=tuple(key for key in kept if key not in past))


def _is_unfinished(folder: Path, now: Config) -> bool:
    with contextlib.suppress(InputError):
        if not is_same_run(now, upgraded(folders.recorded(folder), str(folder))):
            return False
        last = folder / "checkpoints" / LAST
        if not last.exists():
            return True
        with contextlib.suppress(InputError):
            return not checkpoint.read(last)[ENTRY]["finished"]
        return True
    return False
