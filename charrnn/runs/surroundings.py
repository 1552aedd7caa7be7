"""Hide the messages of libraries in a training."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silence_libraries() -> Iterator[None]:
    """Hide the messages and warnings of Lightning and TensorBoard."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
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
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
