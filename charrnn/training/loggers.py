"""metrics.csv: the numbers of a run, one row a logged step.

After a resume it goes on from the checkpoint's step: later rows, which an interrupted run had
written before it was killed, are cut off, since they will be written again. A row is in the
file as soon as the next one is begun, or a checkpoint is about to be written. (Lightning's own
CSVLogger deletes a file that stands.)

TensorBoard is told the options, a chart of both losses, and texts beside the curves. Its HParams
page puts the options that differ between the runs it shows before all others, and takes every
curve for a metric, as long as no run says which options and metrics there are. So none does:
Lightning's `log_hyperparams` would, and the page of a sweep would then list what the first run
names, by the alphabet.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

from charrnn.errors import RunError
from charrnn.files import Growing, replacing
from charrnn.say import say

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
    """Writes metrics.csv into a folder; values of one step are one row.

    Args:
        save_dir: the folder.
        last_step: rows after this step are dropped (0: a new run).

    Raises:
        RunError: at every call, names the file when it cannot be written.
    """

    def __init__(self, save_dir: str | os.PathLike[str], last_step: int = 0) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.last_step = last_step
        self.columns: tuple[str, ...] = COLUMNS
        self._row: dict[str, Any] = {}
        self._table: Growing | None = None

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    def add_column(self, name: str) -> None:
        """Keep a value that a callback logs; called in ``on_fit_start``, before the first row."""
        if name not in self.columns:
            self.columns += (name,)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self._row.get("step") != step:
            self._write_row()
            self._row = {"step": step}
        self._row.update(metrics)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's folder has its config."""

    @rank_zero_only
    def save(self) -> None:
        """Bring everything logged so far to the disk: a checkpoint is about to rely on it."""
        self._write_row()
        self._opened().sync()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the last row; what ended the run is to be told, and not that this fails as well."""
        try:
            self._write_row()
            self._opened().close()
        except RunError:
            if status == "success":
                raise

    def _opened(self) -> Growing:
        if self._table is not None and not self._table.is_there():
            if not self.path.parent.is_dir():
                raise RunError(f"{self.path.parent}: was removed while the run was on its way")
            say(f"{self.path}: was removed, and the rows so far with it; a new one begins")
            self._table, self.last_step = None, 0
        if self._table is None:
            _cut(self.path, self.last_step, self.columns)
            self._table = Growing(self.path)
        return self._table

    def _write_row(self) -> None:
        # taken first: a row that cannot be written is not tried again when the run ends by it
        row, self._row = self._row, {}
        if row:
            self._opened().append(_csv([row], self.columns))


def _cut(path: Path, last_step: int, columns: Sequence[str]) -> None:
    """Leave a metrics.csv with its header and the whole rows up to `last_step`."""
    kept = _rows(path, last_step) if last_step else []
    header = ",".join(columns) + "\n"
    with replacing(path) as temporary:
        temporary.write_bytes(header.encode() + _csv(kept, columns))


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


def _csv(rows: list[dict[str, Any]], columns: Sequence[str]) -> bytes:
    content = io.StringIO()
    csv.DictWriter(content, columns, extrasaction="ignore", lineterminator="\n").writerows(rows)
    return content.getvalue().encode("utf-8")


# the lowest validation loss so far, which is what runs are compared by
BEST_LOSS = "best/val_loss"
# what only watches a run, or is the same in all: none is compared by it
WATCHING = ("progress", "samples", "checkpoints")
UNTOLD = (
    *("logger.", "data._target_", "model._target_", "trainer._target_"),
    *(f"callbacks.{name}." for name in WATCHING),
)
LAYOUT = {"loss": {"training and validation": ["Multiline", ["train/loss", "val/loss"]]}}


def introduce(logger: TensorBoardLogger, hyperparameters: dict[str, Any], step: int) -> None:
    """Tell of a run that begins, or goes on, with this step.

    Args:
        hyperparameters: nested plain values.
    """
    text = yaml.safe_dump(hyperparameters, sort_keys=False)
    writer = logger.experiment
    writer.add_text("config", as_markdown(text), step)
    writer.add_custom_scalars(LAYOUT)
    told = {n: v for n, v in _leaves(encodable(hyperparameters)) if not n.startswith(UNTOLD)}
    _, start, end = hparams(told, {})
    for summary in (start, end):
        writer.file_writer.add_summary(summary)


def log_text(loggers: Iterable[Logger], name: str, text: str, step: int) -> None:
    """Let every logger that keeps texts have one."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(name, as_markdown(text), step)
        elif isinstance(logger, WandbLogger):
            logger.log_text(name, columns=["text"], data=[[encodable(text)]], step=step)
        elif isinstance(logger, MLFlowLogger):
            file = f"{name}/step-{step:07d}.txt"
            logger.experiment.log_text(logger.run_id, encodable(text), file)


def as_markdown(text: str) -> str:
    """The text, indented, so that TensorBoard's Markdown leaves it as it is."""
    return "\n".join("    " + line for line in encodable(text).split("\n"))


def encodable(value: Any) -> Any:
    """The same values, without what stands for bytes that are no UTF-8 (in names of files, say)."""
    if isinstance(value, dict):
        return {name: encodable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [encodable(inner) for inner in value]
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float | str]]:
    """Options under the names that the command line has for them; without those that are null."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield prefix + name, value
        elif value is not None:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)
