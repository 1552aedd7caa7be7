"""`charrnn runs`: list the runs in a folder with their losses, the best first."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.commands.output import check_output
from charrnn.errors import InputError, RunError, shorten
from charrnn.files import (
    OUTPUTS,
    is_plain_file,
    remove_dangling_link,
    resolve_run_path,
    shorten_path,
)
from charrnn.options.ranges import NOT_EMPTY, PATH, TEXT
from charrnn.runs import folder as folders
from charrnn.say import say


@dataclass
class RunsOptions:
    folder: Annotated[str, PATH]
    sort: Annotated[str, TEXT, NOT_EMPTY]
    json: bool
    csv: Annotated[str | None, PATH]
    remove: Annotated[str | None, PATH]


OPTIONS = RunsOptions
FIRST_WORD = "folder"


def run(options: RunsOptions) -> None:
    """Print the runs as a table or as JSON, and write a CSV file; or remove a run."""
    if options.remove is not None:
        _remove(options.remove)
        return
    from charrnn.runs.leaderboard import describe_rows, list_rows, read_rows, sort_rows, write_csv

    check_output(options.csv, option="csv")
    folder = Path(options.folder)
    # Show paths that checkpoint=, resume= and remove= accept.
    bases = (OUTPUTS.absolute(), Path.cwd(), folder.absolute())
    base = next(base for base in bases if folder.absolute().is_relative_to(base))
    if not (rows := read_rows(folder, base)):
        if folder == OUTPUTS:
            raise InputError(f"{OUTPUTS}/: no run exists yet; `charrnn train my.txt` starts one")
        problem = "contains no run" if folder.is_dir() else "no such folder"
        raise InputError(f"folder={shorten(folder)}: {problem}; the default is {OUTPUTS}")
    rows = sort_rows(rows, options.sort)
    table, lines = describe_rows(rows)
    print(json.dumps(list_rows(rows), indent=1) if options.json else table)
    if options.csv is not None:
        write_csv(rows, Path(options.csv))
    for line in lines:
        say(line)


def _remove(name: str) -> None:
    """Delete the folder of a run or a sweep, unless a process is training in it."""
    folder = Path(os.path.realpath(resolve_run_path(name)))
    if not folders.is_run(folder) and not folders.is_sweep(folder):
        raise InputError(f"remove={shorten(name)}: is not the folder of a run or a sweep")
    if Path.cwd().is_relative_to(folder):
        raise InputError(f"remove={shorten(name)}: contains the current folder; leave it first")
    with contextlib.ExitStack() as locks:
        for path in (*folder.rglob(folders.LOCK), *folder.rglob(folders.STUDY_LOCK)):
            if is_plain_file(path):
                locks.enter_context(folders.lock(path.parent, path.name))
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"{error.filename}: cannot be removed ({error.strerror})") from None
    for link in (Path(resolve_run_path(name)), folders.LATEST):
        remove_dangling_link(link)
    if OUTPUTS.resolve() in folder.parent.parents:
        with contextlib.suppress(OSError):
            folder.parent.rmdir()  # Remove the folder of a date if it is empty.
    say(f"removed {shorten_path(folder)}")
