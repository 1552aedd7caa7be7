"""What Lightning and torch say and raise in a training, as a person can use it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from charrnn.errors import InputError, RunError, one_line
from charrnn.runs.own_code import own_code_error

TOO_LITTLE_MEMORY = (
    "there is too little memory; try a smaller data.batch_size, data.seq_length or "
    "model.hidden_size"
)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep off what Lightning and TensorBoard remark: what a person needs to know, we say."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels, hook = [logger.level for logger in loggers], threading.excepthook

    def without_writers(failed: threading.ExceptHookArgs) -> None:
        # a thread that cannot write, such as TensorBoard's, ends the run, which says so in its line
        if not isinstance(failed.exc_value, OSError):
            hook(failed)

    threading.excepthook = without_writers
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    # a profile was asked for
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            for pattern in (r"lightning(\.|$)", r"torch\.utils\.tensorboard"):
                warnings.filterwarnings("ignore", module=pattern)
            message = ".*isinstance\\(treespec, LeafSpec\\).*"
            warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        threading.excepthook = hook
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def explained(error: Exception, folder: Path, checkpoint: Path | None) -> Exception:
    """The error to raise for one that a library or somebody's own code raised in a training.

    Args:
        folder: of the run.
        checkpoint: from which the run went on, if it has not trained a step since.
    """
    if isinstance(error, (InputError, RunError)):
        return error
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if str(frame.f_globals.get("__name__")).startswith("lightning.pytorch.callbacks."):
        # a monitor that there is not, for one: the text names those that there are
        return InputError(f"callbacks: {one_line(error, 500)}")
    if isinstance(error, MisconfigurationException):
        return InputError(f"trainer: {one_line(error, 500)}")
    if is_out_of_memory(error):
        return RunError(TOO_LITTLE_MEMORY)
    if own := own_code_error(error):
        return own
    if isinstance(error, OSError):
        named = isinstance(error.filename, (str, bytes))
        where = os.fsdecode(error.filename) if named else folder
        return RunError(f"{where}: cannot be read or written ({error.strerror or one_line(error)})")
    if checkpoint is not None:
        # the checkpoint is what differs from the run that wrote it
        what = f"{type(error).__name__}: {one_line(error)}"
        return InputError(f"{checkpoint}: a run cannot go on from it ({what})")
    return error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or the system had too little memory.

    torch has an error of its own for a GPU's memory, and only a text for other memory.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
