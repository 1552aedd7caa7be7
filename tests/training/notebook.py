"""Share a small module, a plain Trainer and its log between tests in a notebook's manner."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn import functional as F

from charrnn import LanguageModel, TextDataModule

WINDOWS = 20  # of an epoch of the fixture `data`
SIZES = {"hidden_size": 8, "embedding_size": 4, "num_layers": 1}


def module_of(
    data: TextDataModule, kind_of: type[LanguageModel] = LanguageModel, **options: Any
) -> LanguageModel:
    torch.manual_seed(1)
    return kind_of(data.vocabulary, **{**SIZES, **options})


def trainer(*callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    if any(isinstance(c, ModelCheckpoint) for c in callbacks):
        del quiet["enable_checkpointing"]
    return L.Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        **{**quiet, "enable_model_summary": False, "log_every_n_steps": 5, **options},
    )


class OwnStep(LanguageModel):
    """A training_step that knows only what is documented; a dict is as good as a loss."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        ids, targets, begins = batch
        logits, self.state = self(ids, None if begins else self.state)
        return {"loss": F.cross_entropy(logits.flatten(0, 1), targets.flatten()), "more": 1}


class Seen(L.Callback):
    """Record the trained windows (place, whether they start the text) and validations."""

    def __init__(self) -> None:
        self.trained: list[tuple[int, bool]] = []
        self.first_ids: list[int] = []
        self.losses: list[float] = []
        self.validated: list[int] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self.trained.append((batch_idx, bool(batch[2])))
        self.first_ids.append(int(batch[0][0, 0]))

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if not trainer.sanity_checking:
            self.validated.append(trainer.global_step)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
