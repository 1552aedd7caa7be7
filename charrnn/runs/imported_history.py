"""Losses of a training that ran elsewhere, as the files that a run of ours has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from charrnn.errors import RunError
from charrnn.say import BITS_PER_NAT
from charrnn.training import MetricsCSV

# TensorBoard reads every file with "tfevents" in its name; a name of its own is replaced
# when the same history is written again, and a run's own events stay
EVENTS = "events.out.tfevents.history"
REPORT_EVERY = 10_000

Row = tuple[int, float | None, float | None]


def write_history(
    rows: Sequence[Row], folder: Path, *, report: Callable[[int, int], None] | None = None
) -> None:
    """Write metrics.csv and tensorboard/ into a folder, whole or not at all.

    Args:
        rows: (step, training loss, validation loss) in order, in nats per character;
            None where unknown.
        report: called with the rows done and the rows in all.

    Raises:
        RunError: `folder` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".history.", dir=folder) as temporary:
            _write(rows, Path(temporary), report)
            (folder / "tensorboard").mkdir(exist_ok=True)
            for events in Path(temporary, "tensorboard").glob("*tfevents*"):
                os.replace(events, folder / "tensorboard" / EVENTS)
            os.replace(Path(temporary, "metrics.csv"), folder / "metrics.csv")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror or error})") from error


def _write(rows: Sequence[Row], folder: Path, report: Callable[[int, int], None] | None) -> None:
    loggers = (
        MetricsCSV(folder),
        TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False),
    )
    try:
        for done, (step, train, val) in enumerate(rows):
            if report is not None and done % REPORT_EVERY == 0:
                report(done, len(rows))
            values = {} if train is None else {"train/loss": train}
            if val is not None:
                values |= {"val/loss": val, "val/bits_per_character": val * BITS_PER_NAT}
            for logger in loggers:
                logger.log_metrics(values, step)
    finally:
        for logger in loggers:
            logger.finalize("success")
