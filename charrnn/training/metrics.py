"""The numbers of a run: metrics.csv and TensorBoard, one row a logged step.

After a resume both go on from the checkpoint's step: later rows, which an interrupted run
had written before it was killed, are cut off, since they will be written again. A row is in
the file as soon as the next one is begun, or a checkpoint is about to be written.
"""

from __future__ import annotations

import contextlib
import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.errors import RunError
from charrnn.files import Growing, replacing

if TYPE_CHECKING:
    from charrnn.training.events import EventFile

COLUMNS = (
    "step",
    "epoch",
    "train/loss",
    "val/loss",
    "val/bits_per_character",
    "lr",
    "characters_per_second",
)
BITS_PER_NAT = 1.4426950408889634


class Metrics:
    """Writes what is recorded for a step to metrics.csv and TensorBoard.

    Values for the same step may come one after another; they are one row.

    Args:
        folder: the run folder.
        last_step: rows after this step are dropped (0: a new run).
        tensorboard: whether event files are written.

    Raises:
        RunError: at every call, names a file that cannot be written.
    """

    def __init__(self, folder: Path, *, last_step: int, tensorboard: bool) -> None:
        path = folder / "metrics.csv"
        _cut(path, last_step)
        self._row: dict[str, Any] = {}
        self._table = Growing(path)
        self._events: EventFile | None = None
        if tensorboard:
            from charrnn.training.events import EventFile

            try:
                self._events = EventFile(folder / "tensorboard", last_step + 1)
            except BaseException:
                self._table.close()
                raise
        self._paused = 0.0
        self._since = time.perf_counter()

    def record(self, step: int, epoch: float | None, values: dict[str, float]) -> None:
        """Add values for a step to its row and to TensorBoard; the epoch may be unknown."""
        if self._row.get("step") != step:
            self._write_row()
            self._row = {"step": step, "epoch": epoch}
        self._row.update(values)
        if self._events is not None:
            for name, value in values.items():
                self._events.scalar(name, value, step)

    def text(self, name: str, text: str, step: int) -> None:
        """Show a text in TensorBoard, as it is."""
        if self._events is not None:
            # indented, so that its Markdown leaves the text alone
            indented = "\n".join("    " + line for line in text.split("\n"))
            self._events.text(name, _encodable(indented), step)

    def hyperparameters(self, config: dict[str, Any], step: int) -> None:
        """Give TensorBoard's HParams page this run's config beside its validation loss."""
        if self._events is not None:
            self._events.hyperparameters(dict(_flat(config)), ["val/loss"], step)

    def finished(self, step: int) -> None:
        """The run came to its end."""
        if self._events is not None:
            self._events.finished(step)

    def flush(self) -> None:
        """Bring everything recorded so far to the disk: a checkpoint is about to rely on it."""
        self._write_row()
        self._table.sync()
        if self._events is not None:
            self._events.sync()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # what ended the run is to be told, and not that this fails as well
        with contextlib.suppress(*[RunError] if kind else []):
            self.close()

    def close(self) -> None:
        with contextlib.ExitStack() as files:
            files.callback(self._table.close)
            if self._events is not None:
                files.callback(self._events.close)
            self._write_row()

    def _write_row(self) -> None:
        # taken first: a row that cannot be written is not tried again when the run ends by it
        row, self._row = self._row, {}
        if row:
            self._table.append(_csv([row]))

    # -- speed ---------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """These were no training time."""
        self._paused += seconds

    def seconds_of_training(self) -> float:
        """Training seconds since the last call."""
        now = time.perf_counter()
        seconds = now - self._since - self._paused
        self._since, self._paused = now, 0.0
        return seconds


@contextlib.contextmanager
def paused(metrics: Metrics | None) -> Iterator[None]:
    """Time spent in here is no training time."""
    start = time.perf_counter()
    yield
    if metrics is not None:
        metrics.pause(time.perf_counter() - start)


def _cut(path: Path, last_step: int) -> None:
    """Leave a metrics.csv with its header and the whole rows up to `last_step`."""
    kept = _rows(path, last_step) if last_step else []
    header = ",".join(COLUMNS) + "\n"
    with replacing(path) as temporary:
        temporary.write_bytes(header.encode() + _csv(kept))


def _rows(path: Path, last_step: int) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return rows
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    # a last line without its end may have lost digits, of its step even
    whole, _, _ = text.rpartition("\n")
    names, *lines = [line.split(",") for line in whole.split("\n")]
    for line in lines:
        row = dict(zip(names, line, strict=False))
        step = row.get("step", "")
        if len(line) == len(names) and step.isdecimal() and int(step[:20]) <= last_step:
            rows.append(row)
    return rows


def _csv(rows: list[dict[str, Any]]) -> bytes:
    content = io.StringIO()
    csv.DictWriter(content, COLUMNS, extrasaction="ignore", lineterminator="\n").writerows(rows)
    return content.getvalue().encode("utf-8")


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested config as HParams takes them: numbers, truths and texts."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            number = isinstance(value, (bool, int, float))
            yield prefix + name, value if number else _encodable(str(value))


def _encodable(text: str) -> str:
    """The text without what stands for bytes that are no UTF-8, in names of files say."""
    return text.encode("utf-8", "replace").decode("utf-8")
