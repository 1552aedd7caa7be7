"""Write a sample after each validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from charrnn.files import replace_file
from charrnn.options.ranges import check_ranges
from charrnn.options.training import PartOptions
from charrnn.text.vocabulary import as_bytes
from charrnn.training.log import as_markdown
from charrnn.training.validation import Validation


class Samples(L.Callback):
    """Generates a text after each validation, and writes it into samples/ and to TensorBoard.

    The text is generated like the run's model generates it: with the counts, if they help. The
    random numbers of the training are not used. The progress shows a line of each text.

    Args:
        length: characters of a sample; 0 turns samples off.
    """

    def __init__(self, length: int = 300) -> None:
        check_ranges(PartOptions, length=length)
        self.length = length

    def write_sample(self, trainer: Any, pl_module: Any, validation: Validation) -> str | None:
        """Write and return a text of the validated model. Return None if samples are off."""
        if validation.model is None or not self.length or trainer.fast_dev_run:
            return None
        from charrnn.model import Model  # for a fast start: not needed before the first step

        step, folder = validation.step, Path(trainer.default_root_dir)
        text = Model(validation.model).generate(length=self.length, seed=step)
        with replace_file(folder / "samples" / f"step-{step:07d}.txt") as temporary:
            temporary.write_bytes(as_bytes(text))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("sample", as_markdown(text), step)
        return text
