"""Test each value of Lightning's loops that charrnn reads or sets: a new version may change it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from charrnn import LanguageModel, TextDataModule
from charrnn.training.lightning_loops import count_windows, is_validation_due, set_progress
from tests.training.notebook import WINDOWS, module_of, rows, trainer


class Predictions(L.Callback):
    """Counts the windows, and predicts after which of them a validation comes."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, int]] = []
        self.predicted: list[int] = []
        self.validated: list[int] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        window, total = count_windows(trainer)
        self.windows.append((window, total))
        if is_validation_due(trainer, trainer.current_epoch, window, total):
            self.predicted.append(total)

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.validated.append(count_windows(trainer)[1])


@pytest.mark.parametrize(
    "options",
    [
        {"val_check_interval": 0.25},
        {"check_val_every_n_epoch": 2},
        {"val_check_interval": 9, "check_val_every_n_epoch": None},
        {"val_check_interval": 4, "accumulate_grad_batches": 2},
        {"limit_val_batches": 0},
    ],
    ids=str,
)
def test_validations_are_predicted(data: TextDataModule, options: dict[str, Any]) -> None:
    seen, last = Predictions(), 3 * WINDOWS
    trainer(seen, max_epochs=3, **options).fit(module_of(data), data)
    assert seen.windows == [(i % WINDOWS + 1, i + 1) for i in range(last)]
    assert seen.predicted == seen.validated


def test_the_number_of_steps_is_known_before_the_first(data: TextDataModule) -> None:
    class Asks(LanguageModel):
        def configure_optimizers(self) -> Any:
            assert self.steps_per_epoch == WINDOWS
            return super().configure_optimizers()

    trainer(max_steps=2).fit(module_of(data, Asks), data)


def names_of(node: Any) -> Any:
    return {n: names_of(v) for n, v in node.items()} if isinstance(node, dict) else None


def test_the_progress_sets_counters_that_lightning_saves(data: TextDataModule) -> None:
    """test_lightning.py has its values: they decide where a resume goes on."""
    run = trainer(max_steps=13)
    run.fit(module_of(data), data)
    run.save_checkpoint("x.ckpt")
    content = torch.load("x.ckpt", weights_only=True)
    before = names_of(content["loops"])
    set_progress(content, run)
    assert names_of(content["loops"]) == before
    assert content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["completed"] == 13


@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 3},
        {"max_steps": 9},
        {"max_epochs": 3, "limit_train_batches": 6, "accumulate_grad_batches": 2},
    ],
    ids=str,
)
def test_lightnings_callbacks_log_a_resumed_run_as_the_whole_one(
    data: TextDataModule, options: dict[str, Any]
) -> None:
    """Cut a run of three epochs of three steps in and after an epoch, and resume it."""

    def run(name: str, start: str | None = None) -> dict[int, str]:
        """Return the learning rate that Lightning logged for each step."""
        every = {"every_n_train_steps": 1, "save_on_train_epoch_end": False}
        of_steps = ModelCheckpoint(name, "{step}", save_top_k=-1, **every)
        of_epochs = ModelCheckpoint(name, "{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        logger = CSVLogger(name, name="", version="")
        one = trainer(
            of_steps, of_epochs, LearningRateMonitor("step"), logger=logger,
            **{"limit_train_batches": 3, "log_every_n_steps": 1, **options},
        )  # fmt: skip
        falling = functools.partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
        one.fit(module_of(data, schedule=falling), data, ckpt_path=start, weights_only=True)
        logged = rows(Path(name, "metrics.csv"))
        return {int(row["step"]): row["lr-Adam"] for row in logged if row["lr-Adam"]}

    whole = run("whole")
    assert sorted(whole) == list(range(9))
    for name, cut in (("step=2", 2), ("step=6", 6), ("epoch=0", 3)):
        resumed = run(name, f"whole/{name}.ckpt")
        assert resumed == {step: rate for step, rate in whole.items() if step >= cut}, name
