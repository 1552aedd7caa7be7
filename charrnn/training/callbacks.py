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
from charrnn.say import say
from charrnn.text.vocabulary import as_bytes
from charrnn.training.log import as_markdown
from charrnn.training.validation import Validation


class Samples(L.Callback):
    """Generates a text after each validation, and writes it into samples/ and to TensorBoard.

    The text is generated like the run's model generates it: with the counts, if they help. The
    random numbers of the training are not used. The progress shows a line of the first text, of the
    second, the fourth, and so on.

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
    """Lightning's EarlyStopping that prints a message, and lets a resume increase the patience.

    Args:
        monitor: the metric that should decrease.
        patience: the number of validations without a decrease after which training stops.
        min_delta: the smallest decrease that counts.
    """

    state_key = "EarlyStopping"  # Lightning's key contains options that a resume may change

    def __init__(
        self, monitor: str = "val/loss", patience: int = 5, min_delta: float = 0.0
    ) -> None:
        check_ranges(PartOptions, monitor=monitor, patience=patience, min_delta=min_delta)
        super().__init__(monitor, patience=patience, min_delta=min_delta)
        self._has_news = False  # to print with the validation's losses

    @property
    def has_stopped(self) -> bool:
        """Whether `patience` validations have passed without a decrease."""
        return self.wait_count >= self.patience

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        waited = self.wait_count
        super().on_validation_end(trainer, pl_module)
        # Printed once: more validations may follow, because of min_steps or at the end.
        self._has_news = waited < self.patience <= self.wait_count

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        if self._has_news and trainer.is_global_zero:
            say(f"stopping: {self.monitor} has not decreased for {self.wait_count} validations")
