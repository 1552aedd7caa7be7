"""What a sweep leaves and says when it ends, however it does."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from charrnn.errors import RunError
from charrnn.say import say, width_of
from charrnn.sweeps.leaderboard import leaderboard, shown
from charrnn.sweeps.summary import summaries


def tell(folder: Path, whole: bool, again: str = "") -> None:
    """The leaderboard of a sweep's folder: on standard error, as leaderboard.csv and .md.

    Args:
        whole: whether every job came to its end.
        again: the words that going on with it needs, quoted for a shell.
    """
    runs = summaries(folder)
    if not runs:
        return
    board = leaderboard(folder, runs)
    say(board.table(width_of(sys.stderr)))
    try:
        board.write()
    except RunError as error:  # what ended the sweep is to be told, not that this fails as well
        say(str(error))
    say(f"sweep folder: {shown(folder)}")
    if not whole:
        say(
            f"what is missing or unfinished: charrnn train resume={shlex.quote(shown(folder))}"
            f"{again} goes on with it"
        )
    if command := board.sampling():
        say(f"sample from the best: {command}")
