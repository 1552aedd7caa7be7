"""Train networks on posted texts: a queue, and one process `charrnn train` at a time.

FOLDER/ID/NAME.txt   a text
FOLDER/ID/run/       the folder of its run
FOLDER/ID/log        the output of the process
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, HTTPException

from charrnn.extras.report import read_curves
from charrnn.files import replace_file
from charrnn.runs.folder import METRICS
from charrnn.runs.result import read_result

_MAX_POINTS = 200  # of a curve


@dataclass
class Training:
    """The training of a text.

    Attributes:
        state: waiting, running, done, stopped or failed.
    """

    text: Path
    state: str = "waiting"

    def __post_init__(self) -> None:
        self.run, self.log = self.text.parent / "run", self.text.parent / "log"

    def describe(self) -> dict[str, Any]:
        """Return the values that the page shows."""
        result, losses = read_result(self.run), read_curves(self.run / METRICS)["train"]
        loss, counts_loss = (result.loss, result.counts_loss) if result else (None, None)
        return {
            "id": self.text.parent.name,
            "name": self.text.stem,
            "state": self.state,
            "line": self._read_last_line() if self.state in ("running", "failed") else "",
            "loss": loss,
            "losses": losses[:: len(losses) // _MAX_POINTS + 1],
            # than the counts without the network
            "better": loss is not None and (counts_loss is None or loss < counts_loss),
        }

    async def train(self, turn: asyncio.Lock) -> None:
        """Wait for the lock, then run the process. If this is cancelled, end it."""
        async with turn:
            self.state, words = "running", [str(self.text), f"hydra.run.dir={self.run}"]
            with self.log.open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    *("nice", sys.executable, "-m", "charrnn", "train", *words),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C ends it only by `terminate`.
                )
            try:
                self.state = "failed" if await process.wait() else "done"
            finally:
                if process.returncode is None:
                    process.terminate()  # It writes a checkpoint first.
                    await process.wait()

    def _read_last_line(self) -> str:
        """Return the last line of the process: its progress with the time left, or its error."""
        with contextlib.suppress(OSError):  # Somebody has deleted it.
            return self.log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
        return ""


class Trainings:
    """The trainings of this server in a folder, by their ids. Its methods respond to requests."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._turn = folder, asyncio.Lock()
        self._all: dict[str, tuple[Training, asyncio.Task[None]]] = {}

    async def list_all(self) -> dict[str, Any]:
        """Describe all trainings, the oldest first."""
        return {"data": [training.describe() for training, _ in self._all.values()]}

    async def add(
        self, name: Annotated[str, Body()], text: Annotated[str, Body()]
    ) -> dict[str, Any]:
        """Put a text at the end of the queue."""
        name = re.sub(r"[^\w .'-]+", "-", name).strip(" .-'")[:50] or "text"
        folder = self._folder / datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
        with replace_file(folder / f"{name}.txt") as temporary:
            temporary.write_bytes(text.encode("utf-8", "replace"))
        training = Training(folder / f"{name}.txt")
        self._all[folder.name] = training, asyncio.create_task(training.train(self._turn))
        return training.describe()

    async def stop(self, id_: str) -> dict[str, Any]:
        """Take a training out of the queue, or end its process; its model stays."""
        if id_ not in self._all:
            raise HTTPException(404, f"there is no training {id_!r}")
        training, task = self._all[id_]
        if training.state in ("waiting", "running"):
            training.state = "stopped"
            task.cancel()
        await asyncio.wait([task])
        return training.describe()

    async def remove(self, id_: str) -> dict[str, Any]:
        """End a training, and delete its text and its run."""
        await self.stop(id_)
        shutil.rmtree(self._folder / id_, ignore_errors=True)
        self._all.pop(id_, None)
        return {"id": id_, "deleted": True}
