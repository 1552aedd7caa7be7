"""`charrnn runs`: list the runs in a folder with their losses, the best first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.errors import InputError, shorten
from charrnn.files import OUTPUTS
from charrnn.options.ranges import NOT_EMPTY, PATH, TEXT
from charrnn.say import say


@dataclass
class RunsOptions:
    folder: Annotated[str, PATH]
    sort: Annotated[str | None, TEXT, NOT_EMPTY]
    json: bool


OPTIONS = RunsOptions
FIRST_WORD = "folder"


def run(options: RunsOptions) -> None:
    """Print the runs as a table or as JSON."""
    from charrnn.runs import leaderboard

    folder = Path(options.folder)
    # Show paths that checkpoint= and resume= accept.
    bases = (OUTPUTS.absolute(), Path.cwd(), folder.absolute())
    base = next(base for base in bases if folder.absolute().is_relative_to(base))
    if not (rows := leaderboard.read_rows(folder, base)):
        if folder == OUTPUTS:
            raise InputError(f"{OUTPUTS}/: no run exists yet; `charrnn train my.txt` starts one")
        problem = "contains no run" if folder.is_dir() else "no such folder"
        raise InputError(f"folder={shorten(folder)}: {problem}; the default is {OUTPUTS}")
    if options.sort is None:
        rows = leaderboard.sort_by_text(rows)
    else:
        rows = leaderboard.sort_rows(rows, options.sort)
    if options.json:
        print(json.dumps(leaderboard.list_rows(rows), indent=1))
    else:
        print(leaderboard.format_table(rows))
    for line in leaderboard.recommend_runs(rows):
        say(line)
