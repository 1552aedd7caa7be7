"""One process of several that train together, under another one that leads.

It reads no command line: the leader tells it the task. It writes and prints nothing, unless
it is rank 0 (then the leader is `charrnn train`, which started it and watches it), or fails
for a reason of its own that nobody else could tell.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.cli import endings
from charrnn.errors import Interrupted
from charrnn.training.launchers import Place, place_of_torchrun
from charrnn.training.signals import STOPPING, Signals

if TYPE_CHECKING:
    from charrnn.training.processes import Board
    from charrnn.training.task import Result

# what a process gets to save and leave once the one that started it is gone (seconds)
LEAVING_TIME = 10.0


def main() -> int:
    """The rank that `charrnn.training.processes.train_together` started; returns an exit code."""
    place = place_of_torchrun("charrnn")
    board: Board | None = None
    ending: Result | BaseException | None
    try:
        with Signals(speaks=place.rank == 0) as signals:
            # they were blocked at its start, to find these handlers
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            threading.Thread(target=_leave_with_parent, daemon=True).start()
            from charrnn.training import processes

            board = processes.meet(place)
            ending = _train(place, board, signals)
    except BaseException as error:
        ending = error
    if board is not None:
        with contextlib.suppress(RuntimeError):  # the parent is gone
            board.put(processes.report_name(place.rank), processes.report_on(ending))
    elif isinstance(ending, Exception):
        return endings.end(f"charrnn train: rank {place.rank}", ending)
    return getattr(ending, "exit_code", 1) if isinstance(ending, BaseException) else 0


def follow(place: Place) -> int:
    """A rank above 0 that torchrun or srun started; returns an exit code."""
    from charrnn.training import processes

    try:
        with Signals(speaks=False) as signals:
            _train(place, processes.meet(place), signals)
    except (processes.LostProcess, Interrupted) as ended:
        return ended.exit_code  # rank 0 speaks of it
    except Exception as error:
        return endings.end(f"charrnn train: rank {place.rank}", error)
    return 0


def _train(place: Place, board: Board, signals: Signals) -> Result | None:
    note: dict[str, Any] | None = board.take("task")
    if note is None:
        return None
    from charrnn.commands.recorded import options_from
    from charrnn.data import open_data
    from charrnn.training.run import train
    from charrnn.training.task import Start, Task

    task = Task(**note)
    start = Start.at(None if task.checkpoint is None else Path(task.checkpoint))
    data = open_data(Path(task.input_h5), Path(task.input_json))
    options = options_from(task.config)
    return train(options, task.config, data, Path(task.folder), start, signals, place)


def _leave_with_parent() -> None:
    """Standard input ends with the process that holds its other end."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEAVING_TIME)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    if code:
        # a connection to a process that is gone may be waited for at the interpreter's end
        os._exit(code)
