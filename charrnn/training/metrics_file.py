"""Write metrics.csv, which has a row for each logged step of a run."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from charrnn.errors import RunError
from charrnn.files import convert_write_errors, replace_file

# the columns of every run; columns for other values are added when they are logged
COLUMNS = (
    "step",
    "epoch",
    "train/loss",
    "val/loss",
    "val/bits_per_character",
    "lr",
    "characters_per_second",
)


class MetricsCSV(Logger):
    """Writes metrics.csv into a folder, with all values of a step in one row.

    A resume continues from the checkpoint's step: later rows, which an interrupted run wrote before
    it was killed, are removed, because they will be written again. (Lightning's CSVLogger deletes
    an existing file.) A row is written by `save`, or when the next row starts. A value with a new
    name adds a column.

    Args:
        save_dir: the folder.

    Attributes:
        last_step: rows after this step are removed at the first write. `TrainingLog` sets it to
            the step from which a training starts.

    Raises:
        RunError: in every method, if the file cannot be written.
    """

    name = version = ""

    def __init__(self, save_dir: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.last_step: int | None = -1  # None after the first write
        self._step_in_file: Any = None  # of the last row in the file
        self.columns: tuple[str, ...] = COLUMNS
        self._row: dict[str, Any] = {}
        self._is_saved = False  # whether the file has all values of the row

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if not metrics:
            return  # Lightning also calls this without metrics, at the end of an epoch
        if self._row.get("step") != step:
            if self._row:
                self._write_row()
            self._row = {"step": step}
        self._row.update(metrics)
        self._is_saved = False

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore the hyperparameters, which are in the run folder's config."""

    @rank_zero_only
    def save(self) -> None:
        """Write all values to the disk. A checkpoint calls this, because a resume needs them."""
        if self.last_step == -1:
            return  # Lightning also saves before a training, when no step is known
        self._write_row()
        with convert_write_errors(self.path), open(self.path, "rb") as file:
            os.fsync(file.fileno())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the last row. After a failed run, ignore errors, which would hide its error."""
        try:
            self._write_row()
        except RunError:
            if status == "success":
                raise

    def _write_row(self) -> None:
        if self._is_saved:
            return
        self._is_saved = True  # do not try again if this fails
        new_rows = [self._row] if self._row else []
        new_columns = self._row.keys() - set(self.columns)
        # If the user removed the folder, fail instead of making a new one.
        can_append = self.path.exists() or not self.path.parent.exists()
        # A resume that begins with a validation adds its values to the last row.
        is_in_file = self._row.get("step") == self._step_in_file
        if self.last_step is None and not new_columns and not is_in_file and can_append:
            append_rows(self.path, _format_rows(new_rows, self.columns))
        else:
            rows = _read_rows(self.path, self.last_step)
            if rows and rows[-1]["step"] == str(self._row.get("step")):
                new_rows = [{**rows.pop(), **self._row}]
            names = (name for row in (rows + new_rows)[:1] for name in row)
            self.columns = tuple(dict.fromkeys((*COLUMNS, *names, *sorted(new_columns))))
            with replace_file(self.path) as temporary:
                header = ",".join(self.columns) + "\n"
                content = _format_rows([*rows, *new_rows], self.columns)
                temporary.write_bytes(header.encode() + content)
            self.last_step = None
        self._step_in_file = self._row.get("step", self._step_in_file)


def append_rows(path: Path, rows: bytes) -> None:
    """Append rows to a file. A resume removes an incomplete row after a full disk or a kill."""
    with convert_write_errors(path), open(path, "ab") as file:
        file.write(rows)


def _read_rows(path: Path, last_step: int | None) -> list[dict[str, str]]:
    """Read the complete rows of a metrics.csv up to `last_step`."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    # A last line without a line end may lack digits, even of its step.
    lines, _, _ = text.rpartition("\n")
    rows = []
    for row in csv.DictReader(lines.replace("\0", "").split("\n")):
        step = row.get("step") or ""
        is_complete = None not in row and None not in row.values() and step.isdecimal()
        if is_complete and (last_step is None or int(step[:20]) <= last_step):
            rows.append(row)
    return rows


def _format_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> bytes:
    content = io.StringIO()
    csv.DictWriter(content, columns, lineterminator="\n").writerows(rows)
    return content.getvalue().encode("utf-8")
