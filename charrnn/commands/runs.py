"""`charrnn runs`: what the runs of a folder reached, the best first."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from charrnn.errors import InputError, RunError, shown
from charrnn.options.commands import RunsOptions
from charrnn.say import printable, say, width_of

OPTIONS = RunsOptions

SHOWN = 10  # of the runs on a text, unless all=true


def prepare_overrides(overrides: list[str], multirun: bool) -> list[str]:
    """The first word may be the folder."""
    if overrides and "=" not in overrides[0] and not overrides[0].startswith("~"):
        return [f"folder={overrides[0]}", *overrides[1:]]
    return overrides


def run(options: RunsOptions) -> None:
    """Print the table, or JSON, and write what else is asked for; or remove a run."""
    if options.remove is not None:
        _remove(Path(options.remove), options.force)
        return
    from charrnn.files import replacing
    from charrnn.sweeps.leaderboard import leaderboard
    from charrnn.sweeps.summary import require_known, summaries

    folder = Path(options.folder)
    if not folder.is_dir():
        raise InputError(f"folder={shown(folder)}: no such folder; runs lie in outputs by default")
    found = summaries(folder)
    if not found:
        raise InputError(f"folder={shown(folder)}: no run lies in it")
    require_known("sort", options.sort.removeprefix("-"), found)
    board = leaderboard(folder, found, options.sort)
    if options.json:
        print(json.dumps(board.rows(), indent=1))
    else:
        table = board.table(width_of(sys.stdout), None if options.all else SHOWN)
        print("\n".join(map(printable, table.split("\n"))))
    if options.csv is not None:
        with replacing(Path(options.csv)) as temporary:
            temporary.write_text(board.csv(), encoding="utf-8")
    for line in board.remarks():
        say(line)


def _remove(named: Path, force: bool) -> None:
    """Delete the folder of a run or a sweep, and let outputs/latest lead to one that is there.

    Raises:
        InputError: it is neither, a process trains in it, or nobody can be asked.
    """
    import shutil

    from charrnn.files import short_path
    from charrnn.runs import folder as run_folder
    from charrnn.sweeps.summary import summaries

    folder = Path(os.path.realpath(named))
    if not run_folder.is_run(folder) and not run_folder.is_sweep(folder):
        raise InputError(f"remove={shown(named)}: is no folder of a run or a sweep")
    if Path.cwd().is_relative_to(folder):
        raise InputError(f"remove={shown(named)}: is where you are; change to another folder")
    runs = summaries(folder)
    losses = [run.loss for run in runs if run.loss is not None]
    best = f", best loss {min(losses):.4f}" if losses else ""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    what = f"{len(runs)} runs" if run_folder.is_sweep(folder) else "a run"
    line = f"{short_path(folder)}: {what}{best}, {size / 1e6:,.1f} MB"
    with contextlib.ExitStack() as held:
        for run in runs:
            held.enter_context(run_folder.lock(run.folder))
        if not force and not _agreed(line):
            return
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"{error.filename}: cannot be removed ({error.strerror})") from None
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # of a date that has no other run
    say(f"removed {line}")
    run_folder.mend_latest()


def _agreed(line: str) -> bool:
    """Ask whether that which the line tells is to go."""
    if not sys.stdin.isatty():
        raise InputError(f"remove: {line}: nobody can be asked; force=true removes it")
    say(line)
    say("remove it for good? [y/N]")
    agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        say("it stays")
    return agreed
