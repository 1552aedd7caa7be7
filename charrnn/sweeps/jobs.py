"""The jobs of a sweep, as data: sweep.json, which is written before the first of them begins.

For each job there is its folder, and the `Record` with which it begins. A study has no jobs yet:
it has what it draws from, and a record to put that into, one for each combination of the groups
that it chooses in.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, one_line, shown
from charrnn.files import replacing
from charrnn.runs.folder import is_run
from charrnn.runs.recorded_config import MISSING, Config, Record, found, plain, put, record_of

FILE = "sweep.json"
_LARGEST = 1 << 27  # bytes
_OPTION = re.compile(r"\+{0,2}[A-Za-z]\w*([./][A-Za-z]\w*)*")
# options that say where to: of those nothing is drawn
_PLACES = ("hydra", "resume", "data.url", "data.input_txt", "data.input_h5", "data.input_json",
           "init_from", "logger.mlflow.tracking_uri")  # fmt: skip


@dataclass(frozen=True)
class SweepJob:
    """One job.

    Attributes:
        folder: its name in the sweep's; "" for a record that a study puts values into.
        overrides: as they were written; they are shown, and compared with those of other jobs.
    """

    folder: str
    record: Record
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """What a sweep's folder records.

    Attributes:
        swept: the options that differ between the jobs.
        jobs: all of them; of a study, the records that it puts values into.
        space: option -> what a study draws for it, in the words of Optuna, and as "values" what
            each of its choices is; None where all jobs are known.
        settings: of a study: n_trials, n_jobs, seed, sampler.
    """

    folder: Path
    swept: tuple[str, ...]
    jobs: Sequence[SweepJob]
    space: Mapping[str, Mapping[str, Any]] | None
    settings: Mapping[str, Any]

    def base(self, choices: Mapping[str, Any]) -> SweepJob | None:
        """The record that has these choices in the groups that a study chooses in."""
        groups = {name.lstrip("+") for name in self.space or ()}
        for job in self.jobs:
            mine = job.record.choices
            if all(mine[group] == choices.get(group) for group in groups & mine.keys()):
                return job
        return None


def is_sweep(folder: Path) -> bool:
    """Whether a sweep was begun in a folder."""
    known = (FILE, "multirun.yaml")
    return any((folder / name).is_file() for name in known) and not is_run(folder)


def write(sweep: Sweep) -> None:
    """Leave the record; raises RunError where it cannot be written."""
    jobs = [
        {"folder": j.folder, "choices": dict(j.record.choices), "config": j.record.config,
         "overrides": j.overrides}
        for j in sweep.jobs
    ]  # fmt: skip
    content = {name: vars(sweep)[name] for name in ("swept", "space", "settings")}
    with replacing(sweep.folder / FILE) as temporary:
        temporary.write_text(json.dumps({**content, "jobs": jobs}, indent=1), encoding="ascii")


def read(folder: Path) -> Sweep:
    """Read the record of a sweep.

    Raises:
        InputError: there is none, or it is not as `write` writes it.
    """
    path = folder / FILE
    if not path.exists():
        raise InputError(
            f"{folder}: its jobs are not recorded; give its command again, "
            f"with hydra.sweep.dir={folder} resume=auto"
        )
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise ValueError("it is no file, or too large")
        content = json.loads(path.read_bytes())
        jobs = [_job(job, path) for job in content["jobs"]]
        swept = tuple(str(name) for name in content["swept"])
        space, settings = (plain(content[name], str(path)) for name in ("space", "settings"))
        for name, drawn in (space or {}).items():
            _require_drawable(name, drawn, path)
        if not jobs:
            raise ValueError("it has no jobs")
        return Sweep(folder, swept, jobs, space, dict(settings))
    except InputError:
        raise
    except Exception as error:  # JSON of one's own making may hold anything
        what = one_line(error, kind=True)
        raise InputError(f"{path}: is no record of a sweep ({what})") from None


def _job(content: Any, path: Path) -> SweepJob:
    name = content["folder"]
    if not name.isprintable() or name in (".", "..") or "/" in name or "\\" in name:
        raise InputError(f"{path}: {shown(name)} is no folder of a job")
    record = record_of(content["config"], content["choices"], str(path))
    return SweepJob(name, record, tuple(str(text) for text in content["overrides"]))


def _require_drawable(name: str, drawn: Any, path: Path) -> None:
    bare = name.lstrip("+")
    if not _OPTION.fullmatch(name) or {re.split("[./]", bare)[0], bare} & {*_PLACES}:
        raise InputError(f"{path}: {shown(name)} is nothing that a study draws")
    json.dumps(drawn, allow_nan=False)  # raises ValueError for bounds that are no numbers
    values = drawn["values"]
    parts = [part for value in values for part in (value if isinstance(value, list) else [value])]
    if any(isinstance(part, dict | list) for part in parts):
        raise ValueError(f"{name} has choices that are not plain")


def record_for(
    run: Path, config: Config, choices: Mapping[str, Any], overrides: Sequence[str]
) -> SweepJob | None:
    """The record with which the job of a folder begins; None if the folder belongs to no sweep.

    Args:
        config, choices, overrides: of today's command line, with what a study drew.

    Raises:
        InputError: the record cannot be read.
    """
    if not (run.parent / FILE).is_file():
        return None
    sweep = read(run.parent)
    if sweep.space is None:
        return next((job for job in sweep.jobs if job.folder == run.name), None)
    if (base := sweep.base(choices)) is None:
        return None
    names = {name.lstrip("+") for name in sweep.space}
    drawn = tuple(text for text in overrides if text.lstrip("+").partition("=")[0] in names)
    record = copy.deepcopy(base.record)
    # where a callback prunes, it has the number of the trial
    for name in (*names, "callbacks.pruning.trial"):
        if (value := found(config, name)) is not MISSING and not isinstance(value, dict):
            put(record.config, name, value)
    return SweepJob(run.name, record, (*base.overrides, *drawn))
