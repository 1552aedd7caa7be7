"""The numbers of a run: metrics.csv and TensorBoard, one row a logged step.

After a resume both go on from the checkpoint's step: later rows, which an interrupted run
had written before it was killed, are cut off, since they will be written again.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charrnn.files import replacing

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
    """

    def __init__(self, folder: Path, *, last_step: int, tensorboard: bool) -> None:
        self.path = folder / "metrics.csv"
        self._row: dict[str, Any] = {}
        _cut(self.path, last_step)
        self._file = open(self.path, "a", newline="", encoding="utf-8")  # noqa: SIM115
        self._writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            purge = last_step + 1 if last_step else None
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)
        self._paused = 0.0
        self._since = time.perf_counter()

    def record(self, step: int, epoch: float | None, values: dict[str, float]) -> None:
        """Add values for a step to its row and to TensorBoard; the epoch may be unknown."""
        if self._row.get("step") != step:
            self._write_row()
            self._row = {"step": step, "epoch": epoch}
        self._row.update(values)
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def text(self, name: str, text: str, step: int) -> None:
        """Show a text in TensorBoard, as it is."""
        if self._writer is not None:
            # indented, so that its Markdown leaves the text alone
            indented = "\n".join("    " + line for line in text.split("\n"))
            safe = indented.encode("utf-8", "replace").decode("utf-8")
            self._writer.add_text(name, safe, step)

    def hyperparameters(self, config: dict[str, Any], loss: float) -> None:
        """Give TensorBoard's HParams page this run's config beside its validation loss."""
        if self._writer is not None:
            from torch.utils.tensorboard.summary import hparams

            # SummaryWriter.add_hparams would put them into a run of their own
            for summary in hparams(dict(_flat(config)), {"val/loss": loss}):
                self._writer._get_file_writer().add_summary(summary)

    def flush(self) -> None:
        """Bring everything recorded so far to the disk: a checkpoint is about to rely on it."""
        self._write_row()
        self._row = {}
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        self._write_row()
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def _write_row(self) -> None:
        if self._row:
            csv.DictWriter(self._file, COLUMNS, lineterminator="\n").writerow(self._row)
            self._row = {}

    # -- speed ---------------------------------------------------------------------

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent in here is no training time."""
        start = time.perf_counter()
        yield
        self._paused += time.perf_counter() - start

    def seconds_of_training(self) -> float:
        """Training seconds since the last call."""
        now = time.perf_counter()
        seconds = now - self._since - self._paused
        self._since, self._paused = now, 0.0
        return seconds


def _cut(path: Path, last_step: int) -> None:
    """Leave a metrics.csv with its header and the whole rows up to `last_step`."""
    kept: list[dict[str, str]] = []
    if last_step and path.is_file():
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                step = row.get("step") or ""
                if step.isdecimal() and int(step) <= last_step:
                    kept.append({name: row.get(name) or "" for name in COLUMNS})
    content = io.StringIO()
    writer = csv.DictWriter(content, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    with replacing(path) as temporary:
        temporary.write_text(content.getvalue(), encoding="utf-8")


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested config as HParams takes them: numbers, truths and texts."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            plain = isinstance(value, (bool, int, float, str))
            yield prefix + name, value if plain else str(value)
