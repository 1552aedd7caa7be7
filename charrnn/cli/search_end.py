"""What a study leaves and says when its sweep ends: pictures, and how to train with the best."""

from __future__ import annotations

import shlex
from pathlib import Path

from charrnn.cli import conf
from charrnn.cli.experiment_file import written
from charrnn.cli.literal import as_typed
from charrnn.errors import InputError, RunError
from charrnn.files import replacing
from charrnn.runs import records
from charrnn.say import say
from charrnn.sweeps import plots
from charrnn.sweeps.leaderboard import leaderboard, shown
from charrnn.sweeps.study import FILE, opened
from charrnn.sweeps.summary import summaries

EXPERIMENT = Path("experiment") / "best.yaml"


def tell(folder: Path) -> None:
    """Of the study in a sweep's folder, if there is one."""
    if not (folder / FILE).is_file():
        return
    study = opened(folder)
    trials = study.get_trials(deepcopy=False)
    states = [trial.state.name.lower() for trial in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    say(f"study: {len(trials)} trials ({counts})")
    best = leaderboard(folder, summaries(folder)).best
    try:
        if drawn := plots.draw(study, folder):
            say(f"plots: {', '.join(shown(path) for path in drawn)}")
        if best is not None:
            _tell_best(folder, best.folder)
    except (InputError, RunError) as error:
        say(str(error))


def _tell_best(folder: Path, run: Path) -> None:
    overrides = _of_the_run(run)
    words = shlex.join(map(as_typed, overrides))
    say(f"train with the best: charrnn train {words}")
    text = written(overrides, f"the best of {folder.name}")
    with replacing(folder / EXPERIMENT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"  or: charrnn train --config-dir {shlex.quote(shown(folder))} experiment=best")


def _of_the_run(run: Path) -> list[str]:
    """The overrides that a run was begun with, without those of the search.

    The study may be somebody else's: what would build something, look it up or ask an address is
    not for a command line that is copied.
    """
    found = []
    for override in records.overrides(run):
        key, _, value = override.partition("=")
        names = conf.page("train").names()
        kept = key in names and key not in ("sweep", "resume", "data.url")
        if kept and "_target_" not in override and "${" not in override and ".." not in value:
            found.append(override)
    return found
