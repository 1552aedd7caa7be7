"""`charrnn runs`: list the runs in a folder with their losses, the best first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.errors import InputError, shorten
from charrnn.files import OUTPUTS
from charrnn.options.ranges import NOT_EMPTY, PATH, TEXT
from charrnn.runs import leaderboard


@dataclass
class RunsOptions:
    folder: Annotated[str, PATH]
    sort: Annotated[str | None, TEXT, NOT_EMPTY]
    json: bool


OPTIONS = RunsOptions
FIRST_WORD = "folder"


def run(options: RunsOptions) -> None:
    """Print the runs as a table or as JSON."""
    folder = Path(options.folder)
    # Show paths that checkpoint= and resume= accept.
    bases = (OUTPUTS.absolute(), Path.cwd(), folder.absolute())
    base = next(base for base in bases if folder.absolute().is_relative_to(base))
    if not (results := leaderboard.read_results(folder)):
        if folder == OUTPUTS:
            raise InputError(f"{OUTPUTS}/: no run exists yet; `charrnn train my.txt` starts one")
        problem = "contains no run" if folder.is_dir() else "no such folder"
        raise InputError(f"folder={shorten(folder)}: {problem}; the default is {OUTPUTS}")
    rows = leaderboard.make_rows(results, base)
    if options.sort is not None:
        rows = leaderboard.sort_rows(rows, options.sort)
    print(json.dumps(rows, indent=1) if options.json else leaderboard.format_table(rows))
