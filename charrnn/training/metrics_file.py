"""Write metrics.csv, which has a row for each logged step of a run."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from charrnn.errors import RunError
from charrnn.files import convert_write_errors, replace_file
from charrnn.say import say

# the columns of every run; columns for other values are added when they are logged
COLUMNS = (
    *("step", "epoch", "train/loss", "val/loss", "val/bits_per_character", "lr"),
    "characters_per_second",
)
WRITE_INTERVAL = 1.0  # seconds
Row = dict[str, Any]


class MetricsCSV(Logger):
    """Writes metrics.csv into a folder, with all values of a step in one row.

    Rows are appended at most once per second, and when a checkpoint or the end of the training
    calls `save`. The newest row waits for the next one, because more values of its step may come.
    The file is replaced only for a new column, or for more values of a row that it has already.

    Args:
        save_dir: the folder.

    Raises:
        RunError: in every method, if the file cannot be written.
    """

    name = version = ""

    def __init__(self, save_dir: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.columns: tuple[str, ...] = ()  # of the file; none before `start`
        self._rows: list[Row] = []  # that are not in the file yet
        self._last_step: Any = None  # of the last row in the file
        self._next_write = 0.0  # seconds

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def start(self, last_step: int = -1) -> None:
        """Make the file, without the rows after the step from which a training starts.

        An interrupted run wrote them before it was killed, and they will be written again.
        (Lightning's CSVLogger deletes an existing file.)
        """
        rows = [row for row in _read_rows(self.path) if int(row["step"]) <= last_step]
        self.columns = COLUMNS
        self._replace(rows)
        self._last_step = int(rows[-1]["step"]) if rows else None

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if not metrics:
            return  # Lightning also calls this without metrics, at the end of an epoch
        if not self.columns:
            self.start()
        if not self._rows or self._rows[-1]["step"] != step:
            if time.monotonic() >= self._next_write:
                self._write()
            self._rows.append({"step": step})
        self._rows[-1].update(metrics)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore the hyperparameters, which are in the run folder's config."""

    @rank_zero_only
    def save(self) -> None:
        """Write all values to the disk. A checkpoint calls this, because a resume needs them."""
        if self.columns:  # Lightning also saves before a training.
            self._write()
            with convert_write_errors(self.path), open(self.path, "rb") as file:
                os.fsync(file.fileno())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the last rows. After a failed run, ignore errors, which would hide its error."""
        try:
            self._write()
        except RunError:
            if status == "success":
                raise

    def _write(self) -> None:
        rows, self._rows = self._rows, []  # They are not written again if this fails.
        if not rows:
            return
        self._next_write = time.monotonic() + WRITE_INTERVAL
        has_columns = all(row.keys() <= set(self.columns) for row in rows)
        # If the user removed the folder, fail instead of making a new one.
        can_append = self.path.exists() or not self.path.parent.exists()
        if has_columns and can_append and rows[0]["step"] != self._last_step:
            append_rows(self.path, _format_rows(rows, self.columns))
        else:
            old_rows = _read_rows(self.path)
            if old_rows and old_rows[-1]["step"] == str(rows[0]["step"]):
                rows[0] = {**old_rows.pop(), **rows[0]}
            self._replace([*old_rows, *rows])
        self._last_step = rows[-1]["step"]

    def _replace(self, rows: Sequence[Row]) -> None:
        """Replace the file. A row may add columns."""
        self.columns = tuple(dict.fromkeys((*self.columns, *(n for row in rows for n in row))))
        with replace_file(self.path) as temporary:
            header = ",".join(self.columns) + "\n"
            temporary.write_bytes(header.encode() + _format_rows(rows, self.columns))


def append_rows(path: Path, rows: bytes) -> None:
    """Append rows to a file. A resume removes an incomplete row after a full disk or a kill."""
    with convert_write_errors(path), open(path, "ab") as file:
        file.write(rows)


def _read_rows(path: Path) -> list[Row]:
    """Read the complete rows of a metrics.csv."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    # A last line without a line end may lack digits, even of its step.
    lines, _, _ = text.rpartition("\n")
    header, *others = map(_split_row, lines.split("\n"))
    rows = [dict(zip(header, row, strict=True)) for row in others if len(row) == len(header)]
    rows = [row for row in rows if row.get("step", "").isdecimal() and len(row["step"]) < 20]
    if len(rows) < len(others):
        say(f"{path}: left out rows that cannot be read: {len(others) - len(rows)}")
    return rows


def _split_row(line: str) -> list[str]:
    """Return the values of a row, or none if it is damaged."""
    with contextlib.suppress(csv.Error, StopIteration):
        return next(csv.reader([line.replace("\0", "")]))
    return []


def _format_rows(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    content = io.StringIO()
    csv.DictWriter(content, columns, lineterminator="\n").writerows(rows)
    return content.getvalue().encode("utf-8")
