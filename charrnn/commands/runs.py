"""`charrnn runs`: what the runs of a folder reached, the best first."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.errors import InputError, RunError, short
from charrnn.options.ranges import NOT_EMPTY, PATH, TEXT
from charrnn.say import printable, say


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
    """Print the table, or JSON, and write the CSV; or remove a run."""
    if options.remove is not None:
        _remove(options.remove)
        return
    from charrnn.files import OUTPUTS, replacing
    from charrnn.runs.leaderboard import leaderboard
    from charrnn.runs.summary import summaries

    folder = Path(options.folder)
    if not folder.is_dir():
        raise InputError(f"folder={short(folder)}: no such folder; runs lie in outputs by default")
    runs = summaries(folder)
    if not runs:
        raise InputError(f"folder={short(folder)}: no run lies in it")
    # from where its names are taken by checkpoint=, resume=, init_from= and remove=
    places = (OUTPUTS.absolute(), Path.cwd(), folder)
    place = next(place for place in places if folder.absolute().is_relative_to(place.absolute()))
    board = leaderboard(place, runs, options.sort)
    if options.json:
        print(json.dumps(board.rows(), indent=1))
    else:
        print("\n".join(map(printable, board.table().split("\n"))))
    if options.csv is not None:
        with replacing(Path(options.csv)) as temporary:
            temporary.write_text(board.csv(), "utf-8", "backslashreplace")
    for line in board.remarks():
        say(line)


def _remove(name: str) -> None:
    """Delete the folder of a run or a sweep.

    Raises:
        InputError: it is neither, or a process trains in it.
    """
    from charrnn.files import OUTPUTS, path_of_run, short_path
    from charrnn.runs import folder as run_folder
    from charrnn.runs.summary import summaries

    folder = Path(os.path.realpath(path_of_run(name)))
    if not run_folder.is_run(folder) and not run_folder.is_sweep(folder):
        raise InputError(f"remove={short(name)}: is no folder of a run or a sweep")
    if Path.cwd().is_relative_to(folder):
        raise InputError(f"remove={short(name)}: is where you are; change to another folder")
    with contextlib.ExitStack() as locks:
        for run in summaries(folder):
            locks.enter_context(run_folder.lock(run.folder))
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"{error.filename}: cannot be removed ({error.strerror})") from None
    if OUTPUTS.resolve() in folder.parent.parents:
        with contextlib.suppress(OSError):
            folder.parent.rmdir()  # of a date that has no other run
    say(f"removed {short_path(folder)}")
