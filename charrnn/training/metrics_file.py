"""metrics.csv: the numbers of a run, one row a logged step."""

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

# what every run has; others are added as they are logged
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
    """Writes metrics.csv into a folder; all values of a step are one row.

    After a resume it goes on from the checkpoint's step: later rows, which an interrupted run had
    written before it was killed, are cut off, since they will be written again. (Lightning's own
    CSVLogger deletes a file that stands.) A row is in the file once it is saved, or the next
    begins. A value under a new name is a new column.

    Args:
        save_dir: the folder.
        last_step: rows after this step are dropped (0: a new run).

    Raises:
        RunError: at every call, names the file when it cannot be written.
    """

    def __init__(self, save_dir: str | os.PathLike[str], last_step: int = 0) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.last_step: int | None = last_step  # None once the file is begun
        self.columns: tuple[str, ...] = COLUMNS
        self._row: dict[str, Any] = {}
        self._in_file = self._is_saved = False  # whether it has the row, and all of its values

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if not metrics:
            return  # as Lightning has none of an epoch's own, of whose step there may be a row
        if self._row.get("step") != step:
            if self._row:
                self._write_row()
            self._row, self._in_file = {"step": step}, False
        self._row.update(metrics)
        self._is_saved = False

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's folder has its config."""

    @rank_zero_only
    def save(self) -> None:
        """Bring everything logged so far to the disk: a checkpoint is about to rely on it."""
        self._write_row()
        with convert_write_errors(self.path), open(self.path, "rb") as file:
            os.fsync(file.fileno())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the last row; what ended the run is to be told, and not that this fails as well."""
        try:
            self._write_row()
        except RunError:
            if status == "success":
                raise

    def _write_row(self) -> None:
        if self._is_saved:
            return
        self._is_saved = True  # a row that cannot be written is not tried again
        own = [self._row] if self._row else []
        new = self._row.keys() - set(self.columns)
        # where the whole folder was taken away, no other is made
        goes_on = self.path.exists() or not self.path.parent.exists()
        if self.last_step is None and not new and not self._in_file and goes_on:
            append(self.path, _csv(own, self.columns))
        else:
            rows = _rows(self.path, self.last_step)
            others = [row for row in rows if row["step"] != str(self._row.get("step"))]
            names = (name for row in rows[:1] for name in row)
            self.columns = tuple(dict.fromkeys((*COLUMNS, *names, *sorted(new))))
            with replace_file(self.path) as temporary:
                header = ",".join(self.columns) + "\n"
                temporary.write_bytes(header.encode() + _csv([*others, *own], self.columns))
            self.last_step = None
        self._in_file = bool(own)


def append(path: Path, rows: bytes) -> None:
    """Let a file grow; a row of which a full disk or a kill leaves half is cut at a resume."""
    with convert_write_errors(path), open(path, "ab") as file:
        file.write(rows)


def _rows(path: Path, last_step: int | None = None) -> list[dict[str, str]]:
    """The whole rows of a metrics.csv, up to a step."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    # a last line without its end may have lost digits, of its step even
    whole, _, _ = text.rpartition("\n")
    rows = []
    for row in csv.DictReader(whole.replace("\0", "").split("\n")):
        step = row.get("step") or ""
        is_whole = None not in row and None not in row.values() and step.isdecimal()
        if is_whole and (last_step is None or int(step[:20]) <= last_step):
            rows.append(row)
    return rows


def _csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> bytes:
    content = io.StringIO()
    csv.DictWriter(content, columns, lineterminator="\n").writerows(rows)
    return content.getvalue().encode("utf-8")
