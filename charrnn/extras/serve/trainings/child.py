"""Run `charrnn train` at low priority, for as long as the server lives.

Standard input is a pipe from the server. The server closes it to end the training, and the system
closes it when the server is killed. The training then ends as after SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from charrnn.__main__ import main
from charrnn.files import acquire_lock
from charrnn.runs.folder import LOCK

_NICENESS = 10  # A completion of the server gets nine times the time of a training.


def train(folder: Path, words: list[str]) -> int:
    """Train in a folder with the words of `charrnn train`, and return the exit code."""
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(target=_end_with_pipe, args=[pipe], daemon=True).start()
    os.nice(_NICENESS)
    if folder.is_dir() and (lock := acquire_lock(folder / LOCK, wait=True)):
        lock.close()  # The process of a server that was killed has saved the run.
    sys.argv = ["charrnn", "train", f"hydra.run.dir={folder}", "resume=auto", *words]
    return main()


def _end_with_pipe(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[1]), sys.argv[2:]))
