"""Callbacks of a run: samples, early stopping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import lightning as L
from lightning.pytorch import callbacks
from lightning.pytorch.loggers import TensorBoardLogger

from charrnn.files import replace_file
from charrnn.options.ranges import AT_LEAST_1, NOT_EMPTY, NOT_NEGATIVE, check_arguments
from charrnn.say import say
from charrnn.text.vocabulary import as_bytes
from charrnn.training.counting import CharacterCounts
from charrnn.training.log import as_markdown
from charrnn.training.progress_bar import Progress


class Samples(L.Callback):
    """Writes a text after each validation, into samples/ of the run's folder and to TensorBoard.

    A terminal sees the beginning of one now and then. It is written as the run's model would write:
    with the counts that CharacterCounts, which stands before, has found to help.

    It draws no random number of the training's.

    Args:
        length: characters; 0: none.
        temperature: below 1 more careful, above 1 wilder.
    """

    def __init__(
        self,
        length: Annotated[int, NOT_NEGATIVE] = 300,
        temperature: Annotated[float, NOT_NEGATIVE] = 0.8,
    ) -> None:
        prefix = "callbacks.samples."
        check_arguments(Samples.__init__, prefix, length=length, temperature=temperature)
        self.length = length
        self.temperature = temperature
        self._text: str | None = None

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        # while an average of the weights, if there is one, stands in for them
        fits = trainer.state.fn == "fit" and not trainer.sanity_checking
        self._text = None
        if fits and self.length and trainer.is_global_zero and not trainer.fast_dev_run:
            from charrnn.model import Model  # nothing is sampled before the first step

            counting = (c.counts for c in trainer.callbacks if isinstance(c, CharacterCounts))
            trained = replace(pl_module.to_model().trained, counts=next(counting, None))
            self._text = Model(trained).generate(
                length=self.length, temperature=self.temperature, seed=trainer.global_step
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self._text is None:
            return
        step = trainer.global_step
        folder = Path(trainer.default_root_dir)
        with replace_file(folder / "samples" / f"step-{step:07d}.txt") as temporary:
            temporary.write_bytes(as_bytes(self._text))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("sample", as_markdown(self._text), step)
        for callback in trainer.callbacks:
            if isinstance(callback, Progress):
                callback.show_sample(self._text)


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, which says that it stopped, and lets a resume have more patience.

    Args:
        monitor: what is to get lower.
        patience: validations without a lower one.
        min_delta: how much lower it must be to count.
    """

    def __init__(
        self,
        monitor: Annotated[str, NOT_EMPTY] = "val/loss",
        patience: Annotated[int, AT_LEAST_1] = 5,
        min_delta: Annotated[float, NOT_NEGATIVE] = 0.0,
    ) -> None:
        super().__init__(monitor, patience=patience, min_delta=min_delta)

    @property
    def has_stopped(self) -> bool:
        """Whether there is no patience left."""
        return self.wait_count >= self.patience

    @property
    def state_key(self) -> str:
        # without what a resume may change
        return "EarlyStopping"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        waited = self.wait_count
        super().on_validation_end(trainer, pl_module)
        # once: validations may follow, of a training that min_steps holds or of one that ended
        if waited < self.patience <= self.wait_count and trainer.is_global_zero:
            say(f"stopping: {self.monitor} has not got lower for {self.wait_count} validations")
