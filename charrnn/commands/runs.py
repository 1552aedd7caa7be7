"""`charrnn runs`: what the runs of a folder reached, the best first."""

from __future__ import annotations

import json
from pathlib import Path

from charrnn.errors import InputError, shown
from charrnn.options.commands import RunsOptions
from charrnn.say import plain, say


def prepare_overrides(overrides: list[str]) -> list[str]:
    """The first word may be the folder."""
    if overrides and "=" not in overrides[0] and not overrides[0].startswith("~"):
        return [f"folder={overrides[0]}", *overrides[1:]]
    return overrides


def run(options: RunsOptions) -> None:
    """Print the table, or JSON; write what else is asked for."""
    from charrnn.files import replacing
    from charrnn.sweeps.leaderboard import leaderboard
    from charrnn.sweeps.selection import conditions, require_known
    from charrnn.sweeps.summary import summaries

    folder = Path(options.folder)
    wanted = conditions(options.where or "")
    if not folder.is_dir():
        raise InputError(f"folder={shown(folder)}: no such folder; runs lie in outputs by default")
    found = summaries(folder)
    if not found:
        raise InputError(f"folder={shown(folder)}: no run lies in it")
    require_known("where", [condition.name for condition in wanted], found)
    require_known("sort", [options.sort.removeprefix("-")], found)
    runs = [run for run in found if all(condition.holds(run) for condition in wanted)]
    if not runs:
        raise InputError(f"where={shown(options.where)}: holds for none of {len(found)} runs")
    board = leaderboard(folder, runs, options.sort)
    if options.json:
        print(json.dumps(board.rows(), indent=1))
    else:
        print("\n".join(map(plain, board.table().split("\n"))))
    if options.csv is not None:
        with replacing(Path(options.csv)) as temporary:
            temporary.write_text(board.csv(), encoding="utf-8")
    if options.curves is not None:
        from charrnn.sweeps.curves import draw

        draw(board, Path(options.curves))
    if command := board.sampling():
        say(f"sample from the best: {command}")
