"""Surround a training: hide the messages of libraries, and explain their errors."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

import lightning as L

from charrnn.explanations import explain_training
from charrnn.runs import ranks
from charrnn.runs.run_values import Run


@contextlib.contextmanager
def silence_libraries() -> Iterator[None]:
    """Hide the messages and warnings of Lightning and TensorBoard."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels, hook = [logger.level for logger in loggers], threading.excepthook

    def ignore_write_errors(failure: threading.ExceptHookArgs) -> None:
        # If a thread cannot write, such as TensorBoard's, the run itself fails with a message.
        if not isinstance(failure.exc_value, OSError):
            hook(failure)

    threading.excepthook = ignore_write_errors
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # print profiles
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


@contextlib.contextmanager
def explain_errors(run: Run) -> Iterator[list[L.Trainer]]:
    """Raise the error that explains an error of a library in training.

    Yield a list, to which the trainer is appended once it exists.
    """
    trainers: list[L.Trainer] = []
    try:
        yield trainers
    except Exception as error:
        if lost := ranks.explain_lost(error):
            raise lost from error
        # The first step uses the rest of a checkpoint, such as its counters.
        has_trained = any(t.global_step > run.first_step + 1 for t in trainers)
        checkpoint = None if has_trained else run.checkpoint
        explained = explain_training(error, run.folder, checkpoint)
        if explained is error:
            raise
        raise explained from error
