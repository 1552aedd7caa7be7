"""The words with which a resume is composed.

What a record chose in the groups of conf/ is looked up again, in conf/ and in today's
``--config-dir``: names, each held to a pattern, and nothing else of the record. These words stand
before ``resume=`` and today's own after it, so that the two can be told apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from charrnn import plugins
from charrnn.cli import conf
from charrnn.cli.flags import Flags
from charrnn.cli.literal import override_of
from charrnn.cli.sources import folders as folders_of
from charrnn.cli.sources import key_of
from charrnn.errors import InputError
from charrnn.runs import folder as folders
from charrnn.runs.older import inferred_choices, upgraded
from charrnn.runs.record import Record
from charrnn.sweeps import jobs
from charrnn.sweeps.jobs import Sweep, SweepJob

SWEEPER = "hydra_plugins.charrnn_recorded.RecordedJobs"
_FOLDER = re.compile(r"file://([^,\]'\"]+)")


def run_words(
    record: Record, today: Sequence[str], flags: Flags | None = None, *recipes: str
) -> list[str]:
    """A record's choices, as far as there are files of these names, and today's do not say so."""
    own = [flags.config_dir, flags.config_path] if flags is not None else []
    typed = [
        path for word in today if "hydra.searchpath=" in word for path in _FOLDER.findall(word)
    ]
    further = (Path(folder) for folder in (*own, *typed) if folder is not None)
    searched = [*plugins.conf_folders("train"), *further]
    return _choices(record, today, searched, *recipes)


def _choices(
    record: Record, today: Sequence[str], searched: Sequence[Path], *recipes: str
) -> list[str]:
    groups = conf.page("train").groups.keys() - {*conf.WITHOUT_A_NODE} | {*recipes}
    chosen = {**inferred_choices(upgraded(record.config, record.source)), **record.choices}
    given = {key_of(word) for word in today}
    words = []
    for group in (chosen.keys() & groups) - given:
        names = chosen[group] if isinstance(chosen[group], list) else [chosen[group]]
        files = ([folder / group / f"{name}.yaml" for folder in searched] for name in names)
        if all(any(map(Path.is_file, places)) for places in files):
            words.append(override_of(group, chosen[group]))
    return sorted(words)


def sweep_words(folder: Path, today: Sequence[str], flags: Flags | None = None) -> list[str]:
    """The words that go on with a sweep.

    Raises:
        InputError: its record cannot be used, or today's words would make other jobs of it.
    """
    folders.require_plain_files(folder)
    sweep = jobs.read(folder)
    for word in today:
        if key_of(word) in {key_of(name) for name in sweep.swept} or _is_swept(word):
            raise InputError(
                f"{word}: resume={folder} goes on with the jobs that its sweep has; "
                f"leave it out, or start another sweep"
            )
    resume = override_of("resume", str(folder))
    own = [override_of("hydra.sweep.dir", str(folder)), "hydra.mode=MULTIRUN"]
    if sweep.space is None:
        return ["hydra/sweeper=recorded", resume, *today, *own]
    base = run_words(sweep.jobs[0].record, today, flags, "sweep")
    if not any(word.startswith("sweep=") for word in (*base, *today)):
        base.append("hydra/sweeper=study")
    return [*base, resume, *today, *own]


def _is_swept(word: str) -> bool:
    try:
        override = OverridesParser.create().parse_override(word)
    except Exception:  # a text that is not quoted yet
        return False
    return bool(override.is_sweep_override()) and not override.is_hydra_override()


def recorded_jobs(hydra: DictConfig, today: Sequence[str]) -> list[list[str]]:
    """The words of each job of the sweep that ``resume=`` names among today's words."""
    sweep = jobs.read(Path(hydra.sweep.dir))
    return [job_words(sweep, job, job.folder, hydra, today) for job in sweep.jobs]


def job_words(
    sweep: Sweep, job: SweepJob, folder: str, hydra: DictConfig, today: Sequence[str]
) -> list[str]:
    """The words of a job that goes on, or begins, in its folder of the sweep."""
    resumes = [index for index, word in enumerate(today) if word.startswith("resume=")]
    own = list(today[resumes[0] + 1 :])
    recipes = [] if sweep.space is None else ["sweep"]
    return [
        *_choices(job.record, own, folders_of(hydra), *recipes),
        override_of("resume", os.fspath(sweep.folder / folder)),
        *own,
        override_of("hydra.sweep.subdir", folder),
    ]
