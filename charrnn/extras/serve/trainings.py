"""Train networks on posted texts: a queue, and one process `charrnn train` at a time.

FOLDER/ID/NAME.txt   a text
FOLDER/ID/run/       the folder of its run
FOLDER/ID/log        the output of the process
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import math
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from charrnn.errors import InputError
from charrnn.extras.serve.completion_request import RequestBody
from charrnn.files import replace_file
from charrnn.runs.folder import METRICS, MODEL_FILES
from charrnn.runs.result import read_result

_MAX_POINTS = 200  # of a curve
_TIME_LEFT = re.compile(r", (?:(\d+):)?(\d+):(\d+) left$", re.MULTILINE)  # in a line of progress


class TrainingRequest(RequestBody):
    """The body of `POST /v1/trainings`."""

    name: str
    text: str


@dataclass
class Training:
    """The training of a text.

    Attributes:
        state: waiting, running, done, stopped or failed.
        error: why it has failed.
        task: `train`.
    """

    text: Path
    state: str = "waiting"
    error: str | None = None
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.run, self.log = self.text.parent / "run", self.text.parent / "log"

    def describe(self) -> dict[str, Any]:
        """Return the values that the page shows."""
        result, losses = read_result(self.run), _read_losses(self.run / METRICS)
        loss, counts_loss = (result.loss, result.counts_loss) if result else (None, None)
        is_better = loss is not None and (counts_loss is None or loss < counts_loss)
        return {
            "id": self.text.parent.name,
            "name": self.text.stem,
            "state": self.state,
            "error": self.error,
            "seconds_left": self._read_seconds_left() if self.state == "running" else None,
            "loss": loss,
            "losses": losses[:: len(losses) // _MAX_POINTS + 1],
            # than the counts without the network
            "better": is_better and (self.run / MODEL_FILES[0]).exists(),
        }

    async def train(self, turn: asyncio.Lock) -> None:
        """Wait for the lock, then run the process. A cancelled training ends it."""
        try:
            async with turn:
                self.state = "running"
                code = await self._run_process()
            self.state = "failed" if code else "done"
            self.error = self._read_log().rpartition("\n")[2] if code else None
        except OSError as error:
            self.state, self.error = "failed", str(error)

    async def _run_process(self) -> int:
        words = ["train", str(self.text), f"hydra.run.dir={self.run}"]
        with self.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *("nice", sys.executable, "-m", "charrnn", *words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends it only by `terminate`.
            )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()  # It writes a checkpoint first.
                await process.wait()

    def _read_seconds_left(self) -> int | None:
        """Return the time in the last line of progress; None as long as there is no such line."""
        if not (found := _TIME_LEFT.findall(self._read_log())):
            return None
        hours, minutes, seconds = (int(part or 0) for part in found[-1])
        return 3600 * hours + 60 * minutes + seconds

    def _read_log(self) -> str:
        with contextlib.suppress(OSError):  # Somebody has deleted it.
            return self.log.read_text("utf-8", "replace").strip()
        return ""


def _read_losses(path: Path) -> list[tuple[int, float]]:
    """Return the steps and losses in metrics.csv; none if it is missing or damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(int(r["step"]), float(r["train/loss"] or "nan")) for r in csv.DictReader(file)]
        return [(step, loss) for step, loss in rows if math.isfinite(loss)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []


class Trainings:
    """The trainings in a folder, by their ids. Its methods respond to requests."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._turn = folder, asyncio.Lock()
        texts = (text for text in sorted(folder.glob("*/*.txt")) if not text.parent.is_symlink())
        self._all = {text.parent.name: Training(text, "stopped") for text in texts}
        for training in self._all.values():
            if (training.run / MODEL_FILES[0]).exists():
                training.state = "done"

    async def list_all(self) -> dict[str, Any]:
        """Describe all trainings, the oldest first."""
        return {"data": [training.describe() for training in self._all.values()]}

    async def add(self, request: TrainingRequest) -> dict[str, Any]:
        """Put a text at the end of the queue."""
        if not request.text.strip():
            raise InputError("text: is empty")
        name = re.sub(r"[^\w .'-]+", "-", request.name).strip(" .-'")[:50] or "text"
        folder = self._folder / datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
        with replace_file(folder / f"{name}.txt") as temporary:
            temporary.write_bytes(request.text.encode())
        training = self._all[folder.name] = Training(folder / f"{name}.txt")
        training.task = asyncio.create_task(training.train(self._turn))
        return training.describe()

    async def stop(self, id_: str) -> dict[str, Any]:
        """Take a training out of the queue, or end its process; its model stays."""
        if (training := self._all.get(id_)) is None:
            raise HTTPException(404, f"there is no training {id_!r}")
        if training.task is not None:
            if training.state in ("waiting", "running"):
                training.state = "stopped"
                training.task.cancel()
            await asyncio.wait([training.task])
        return training.describe()

    async def remove(self, id_: str) -> dict[str, Any]:
        """End a training, and delete its text and its run."""
        await self.stop(id_)
        shutil.rmtree(self._folder / id_, ignore_errors=True)
        self._all.pop(id_, None)
        return {"id": id_, "deleted": True}
