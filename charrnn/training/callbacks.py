"""Callbacks for samples during training and for early stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch import callbacks
from lightning.pytorch.loggers import TensorBoardLogger

from charrnn.files import replace_file
from charrnn.options.parts import PartOptions
from charrnn.options.ranges import check_ranges
from charrnn.text.vocabulary import as_bytes
from charrnn.training.log import as_markdown
from charrnn.training.validation import Validation


class Samples(L.Callback):
    """Generates a text after each validation, and writes it into samples/ and to TensorBoard.

    The text is generated like the run's model generates it: with the counts, if they help. The
    random numbers of the training are not used. The progress shows a line of each text.

    Args:
        length: characters of a sample; 0 turns samples off.
        temperature: values below 1 are more cautious, values above 1 are wilder.
    """

    def __init__(self, length: int = 300, temperature: float = 0.8) -> None:
        check_ranges(PartOptions, length=length, temperature=temperature)
        self.length = length
        self.temperature = temperature

    def write_sample(self, trainer: Any, pl_module: Any, validation: Validation) -> str | None:
        """Write and return a text of the validated model. Return None if samples are off."""
        if validation.model is None or not self.length or trainer.fast_dev_run:
            return None
        from charrnn.model import Model  # for a fast start: not needed before the first step

        step, folder = validation.step, Path(trainer.default_root_dir)
        text = Model(validation.model).generate(
            length=self.length, temperature=self.temperature, seed=step
        )
        with replace_file(folder / "samples" / f"step-{step:07d}.txt") as temporary:
            temporary.write_bytes(as_bytes(text))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("sample", as_markdown(text), step)
        return text


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's EarlyStopping, whose patience a resume may change.

    Lightning's silently replaces it with the patience in the checkpoint.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})
