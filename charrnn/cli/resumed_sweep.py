"""``resume=`` of a sweep's folder: the same command line again, for what is missing of it.

Hydra leaves the overrides of a sweep in multirun.yaml. They are read as text, and what could
run code or look things up is not taken from there: today's command line has to give it again.
So it has to say where the jobs run (``hydra/launcher=``) and where further YAML files lie
(``--config-dir``).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from charrnn.cli.literal import quoted
from charrnn.cli.traits import having
from charrnn.errors import InputError, shown
from charrnn.options.ranges import PATH
from charrnn.runs.folder import is_run, read_config

RECORD = "multirun.yaml"
# of Hydra's own, what says which jobs there are
_KEPT = ("hydra.sweeper.", "hydra/sweeper=")
# of what a job's folder may be called by, what only Hydra knows
_OF_THE_JOB = re.compile(r"\$\{hydra\.job\.\w+\}")
_LOOKED_UP = re.compile(r"(?<!\\)\$\{")


def is_sweep(folder: Path) -> bool:
    """Whether a sweep was begun in a folder."""
    return (folder / RECORD).is_file() and not is_run(folder)


def overrides(folder: Path, today: Sequence[str]) -> list[str]:
    """The overrides with which a sweep goes on.

    Args:
        today: those beside ``resume=``; they count before the recorded ones.

    Raises:
        InputError: the record cannot be used, or today's would make other jobs of it.
    """
    path = folder / RECORD
    try:
        hydra = read_config(path)["hydra"]
        task, own = hydra["overrides"]["task"], hydra["overrides"]["hydra"]
        cwd, subdir = str(hydra["runtime"]["cwd"]), str(hydra["sweep"]["subdir"])
        recorded = [str(o) for o in (*task, *(o for o in own if str(o).startswith(_KEPT)))]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: is no record of a sweep (it lacks {error})") from None
    names = {_name(override) for override in today}
    recorded = [o for o in recorded if _name(o) not in names and _name(o) != "resume"]
    _refuse_code(recorded, path)
    _refuse_other_jobs(task, today, folder)
    if os.path.realpath(cwd) != os.path.realpath(os.getcwd()):
        _refuse_relative(recorded, path, cwd)
    if not _LOOKED_UP.search(_OF_THE_JOB.sub("", subdir)):  # not the default of today
        recorded.append(f"hydra.sweep.subdir='{subdir}'")
    own_words = [f"hydra.sweep.dir={quoted(str(folder))}", "hydra.mode=MULTIRUN", "resume=auto"]
    return [*recorded, *today, *own_words]


def _name(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _refuse_code(recorded: Sequence[str], path: Path) -> None:
    for override in recorded:
        name = _name(override)
        if "_target_" in override:
            raise InputError(
                f"{path}: {shown(override)} says what is built; give it again, if you trust it"
            )
        if _LOOKED_UP.search(override):
            raise InputError(f"{path}: {name} holds ${{...}}, which is not looked up; give {name}=")


def _refuse_other_jobs(task: Sequence[Any], today: Sequence[str], folder: Path) -> None:
    swept = {o.get_key_element() for o in _parsed(map(str, task)) if o.is_sweep_override()}
    for override in _parsed(today):
        is_swept = override.is_sweep_override() and not override.is_hydra_override()
        if is_swept or override.get_key_element() in swept:
            raise InputError(
                f"{override.input_line}: resume={folder} goes on with the jobs that its sweep has; "
                f"leave it out, or start another sweep"
            )


def _refuse_relative(recorded: Sequence[str], path: Path, cwd: str) -> None:
    paths = having("train", PATH)
    for override in recorded:
        values = override.partition("=")[2].strip("[]'\"")
        if _name(override) in paths and values != "null" and not os.path.isabs(values):
            raise InputError(
                f"{path}: {shown(override)} is a path from {cwd}, where the sweep was begun; "
                f"go there"
            )


def _parsed(lines: Iterator[str] | Sequence[str]) -> Iterator[Override]:
    """Those that Hydra's grammar reads; a text that is not quoted yet is no sweep."""
    parser = OverridesParser.create()
    for line in lines:
        with contextlib.suppress(Exception):
            yield parser.parse_override(line)
