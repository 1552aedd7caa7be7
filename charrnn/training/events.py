"""TensorBoard's event files, written in step with the run.

torch's SummaryWriter writes from a thread of its own: a full disk ends that thread with a
traceback, and what was recorded reaches the file some time later. Here a record is in the file
when it was written, and a write that fails says so at once.
"""

from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

from charrnn.files import Growing

_NAME = re.compile(r"events\.out\.tfevents\.(\d+)")


class EventFile:
    """One more event file in a folder; it takes over from those before it.

    Args:
        first_step: what they hold for this step and later ones no longer counts.

    Raises:
        RunError: at every call, names the file when it cannot be written.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        # TensorBoard reads the files in the order of their names, and two of a run that is
        # killed and resumed may fall into the same second
        others = [_NAME.match(path.name) for path in folder.glob("*tfevents*")]
        newest = max((int(other[1]) for other in others if other), default=0)
        seconds = max(int(time.time()), newest + 1)
        self._file = Growing(folder / f"events.out.tfevents.{seconds:010d}.charrnn")
        try:
            self._add(Event(file_version="brain.Event:2"))
            self._add(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))
        except BaseException:
            self._file.close()
            raise

    def scalar(self, name: str, value: float, step: int) -> None:
        self._add(Event(summary=summary.scalar(name, value), step=step))

    def text(self, name: str, text: str, step: int) -> None:
        self._add(Event(summary=summary.text(name, text), step=step))

    def hyperparameters(self, values: dict[str, Any], metrics: list[str], step: int) -> None:
        """What the HParams page shows of this run, beside the last values of these metrics."""
        experiment, beginning, self._ending = summary.hparams(values, dict.fromkeys(metrics, 0.0))
        self._add(Event(summary=experiment, step=step))
        self._add(Event(summary=beginning, step=step))

    def finished(self, step: int) -> None:
        """Let the HParams page show that the run came to its end."""
        self._add(Event(summary=self._ending, step=step))

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        self._file.append(record.getvalue())
