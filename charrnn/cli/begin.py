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
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from charrnn.cli.building import having
from charrnn.cli.job import Request
from charrnn.cli.resuming import SEVERAL, merged, words_again
from charrnn.errors import InputError
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.datasets import without_default_corpus
from charrnn.options.ranges import FIXED
from charrnn.options.training import DataNode, TrainOptions
from charrnn.runs import folder as folders
from charrnn.runs.older import upgraded
from charrnn.runs.record import Config, Record, found, record_of
from charrnn.runs.spec import RunSpec
from charrnn.sweeps import jobs
from charrnn.training.checkpoints import LAST


def run_of(asked: Request) -> RunSpec:
    """The run that is asked for.

    Raises:
        InputError: it cannot begin so; nothing is written or removed then.
    """
    resume = asked.config.resume
    if resume is None and _is_started_again(asked):
        resume = "auto"
    if resume is None:
        return _new(asked)
    if resume == "auto":
        return _automatic(asked)
    target = Path(resume).resolve()
    if target.is_dir() and (target / folders.RECORDED).is_file():
        return _again(target, asked)
    if job := jobs.record_for(target, asked.config.plain(), asked.choices, asked.overrides):
        return _run(asked, _merged(job.record, asked), target, None, job.overrides)
    if target.is_dir():
        raise InputError(
            f"{resume}: not a run folder (it has no {folders.RECORDED}); "
            f"give one that `charrnn train` made, or a .ckpt"
        )
    return _run(asked, _merged(checkpoint_record(resume), asked), asked.folder, target)


def _run(
    asked: Request,
    config: TrainOptions,
    folder: Path,
    source: Path | None,
    overrides: tuple[str, ...] | None = None,
) -> RunSpec:
    again = words_again(asked.overrides, asked.flags, config.plain())
    typed = asked.overrides if overrides is None else overrides
    return RunSpec(config, folder, source, asked.given, asked.choices, typed, asked.hydra, again)


def _new(asked: Request) -> RunSpec:
    folders.refuse_run(asked.folder)
    return _run(asked, absolute(_with_one_text(asked.config, asked.given)), asked.folder, None)


def checkpoint_record(path: str) -> Record:
    """What the run of a checkpoint was begun with.

    Raises:
        InputError: it cannot be read, or is no record.
    """
    entry = checkpoint.read_run(Path(path))[ENTRY]
    return record_of(entry["config"], entry.get("choices", {}), path)


def absolute(config: TrainOptions) -> TrainOptions:
    """The config with its paths absolute, so that a resume may stand in any folder."""
    data = config.data
    texts = data.input_txt
    data = replace(
        data,
        input_txt=[*map(os.path.abspath, texts)] if isinstance(texts, list) else _absolute(texts),
        input_h5=_absolute(data.input_h5),
        input_json=_absolute(data.input_json),
    )
    # outputs/latest will be another run once this one has begun
    init_from = None if config.init_from is None else os.path.realpath(config.init_from)
    return replace(_with_teachers(config), data=data, init_from=init_from, resume=None)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def _with_teachers(config: TrainOptions) -> TrainOptions:
    """The config with `distill_from` as it is recorded: a list of real paths."""
    paths = config.distill_from
    if paths is None:
        return config
    paths = [os.path.realpath(p) for p in ([paths] if isinstance(paths, str) else paths)]
    return replace(config, distill_from=paths)


def _with_one_text(config: TrainOptions, given: Sequence[str]) -> TrainOptions:
    data = without_default_corpus(config.data.plain(), given)
    return replace(config, data=DataNode.of(data))


def _again(folder: Path, asked: Request) -> RunSpec:
    config = _merged(folders.read_record(folder), asked)
    return _run(asked, config, folder, folder)


def _merged(record: Record, asked: Request) -> TrainOptions:
    """A recorded config with what was asked for today, such as another place of the same text."""
    # named from another folder they are the same
    asked = replace(asked, config=_with_teachers(asked.config))
    try:
        config = merged(record, asked)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{record.source}: its config is none that charrnn wrote ({what})"
        ) from error
    return absolute(_with_one_text(config, ()))


def _is_started_again(asked: Request) -> bool:
    """Whether a launcher put this job of a sweep into its queue again, and it began already."""
    launched = "SUBMITIT_EXECUTOR" in os.environ and bool(asked.job_id)
    return (
        launched and folders.is_run(asked.folder) and folders.job_id(asked.folder) == asked.job_id
    )


def _automatic(asked: Request) -> RunSpec:
    folder = asked.folder
    now = absolute(_with_one_text(asked.config, asked.given))
    if asked.job_id:
        if (folder / folders.RECORDED).is_file():
            return _again(folder, _without_resume(asked))
        return _run(asked, now, folder, None)
    for other in folders.run_folders(folder.parent.parent):
        if other != folder and _is_unfinished(other, now.plain()):
            folders.unmake(folder)
            # what it was begun with is what is given; who asks for a logger still does
            loggers = tuple(key for key in asked.given if key.split(".")[0] == "logger")
            return _again(other, _without_resume(asked, loggers))
    return _new(asked)


def _without_resume(asked: Request, given: tuple[str, ...] | None = None) -> Request:
    kept = asked.given if given is None else given
    # what the run was begun from is recorded, as is what was left open then, such as seed=null;
    # a resume does not ask for it again
    left_open = {key for key in having("train", FIXED) if found(asked.config.plain(), key) is None}
    past = {"resume", "init_from", *left_open}
    return replace(asked, given=tuple(key for key in kept if key not in past))


def _is_unfinished(folder: Path, now: Config) -> bool:
    with contextlib.suppress(InputError):
        if not is_same_run(now, upgraded(folders.recorded(folder), str(folder))):
            return False
        last = folder / "checkpoints" / LAST
        if not last.exists():
            return True
        with contextlib.suppress(InputError):
            return not checkpoint.read_run(last)[ENTRY]["finished"]
        return True
    return False


def is_same_run(now: Config, recorded: Config) -> bool:
    """Whether a recorded config is what `now` would become.

    What is automatic or null in `now` was decided at the recorded run's start.
    """
    if now.get("distill_from") is None and recorded.get("distill_from") is not None:
        return False  # it is never chosen automatically
    for group in SEVERAL:
        if (
            not isinstance(recorded.get(group), dict)
            or not recorded[group].keys() <= now[group].keys()
        ):
            return False
    for key, value in _leaves(now):
        if key == "resume" or value is None or value == "auto":
            continue
        if found(recorded, key) != value:
            return False
    return True


def _leaves(config: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
