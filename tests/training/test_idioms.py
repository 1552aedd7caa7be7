"""Test what users of Lightning and Hydra write: it works, or is refused in a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch import Tensor
from torch.nn import functional as F

from charrnn import LanguageModel, TextDataModule
from charrnn.__main__ import main
from tests.small_runs import SMALL, Capture
from tests.training.notebook import module_of, trainer


@pytest.fixture(autouse=True)
def no_process_group() -> Iterator[None]:
    """Remove the process group of strategy="ddp", which the next test would share."""
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class Bigrams(L.LightningModule):
    """A module that knows nothing of charrnn."""

    def __init__(self, data: TextDataModule) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(data.vocabulary), len(data.vocabulary))
        self.validated = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        ids, targets, *_ = batch
        return F.cross_entropy(self.embedding(ids).flatten(0, 1), targets.flatten())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.validated += batch[0].numel()
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


def test_another_module_gets_windows_of_the_validation(data: TextDataModule) -> None:
    module = Bigrams(data)
    run = trainer(max_epochs=1, num_sanity_val_steps=0)
    run.fit(module, data)
    assert 0 < run.callback_metrics["val/loss"] < 5
    assert module.validated == (len(data.encoded.get_split("val")) - 1) // 4 // 10 * 40


class ReadsWindows(L.Callback):
    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()

    def on_validation_batch_end(self, run: Any, module: Any, _: Any, batch: Any, *__: Any) -> None:
        ids, targets, _ = batch
        assert torch.equal(ids, batch[0])
        assert module(ids)[0].argmax(-1).shape == targets.shape
        self.shapes.add(tuple(ids.shape))


@pytest.mark.parametrize(("part", "shape"), [(1.0, (1, 104)), (0.5, (4, 10))])
def test_a_callback_reads_windows(data: TextDataModule, part: float, shape: Any) -> None:
    seen = ReadsWindows()
    run = trainer(seen, max_epochs=1, limit_val_batches=part)
    run.fit(module_of(data), data)
    assert seen.shapes == {shape}
    assert 0 < run.callback_metrics["val/loss"] < 5


def test_two_validation_loaders_and_lr_find_work(data: TextDataModule) -> None:
    two = CombinedLoader([data.val_dataloader(), data.val_dataloader()], "sequential")
    run = trainer(max_steps=4, val_check_interval=4)
    run.fit(module_of(data), data.train_dataloader(), two)
    assert 0 < run.callback_metrics["val/loss"] < 5
    tuner = Tuner(trainer(max_steps=50, enable_checkpointing=True))
    found = tuner.lr_find(module_of(data), datamodule=data, update_attr=False, num_training=20)
    assert found is not None
    assert 1e-8 <= found.suggestion(skip_begin=1, skip_end=1) <= 1


class OwnValidation(LanguageModel):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/own", torch.tensor(0.5))


def test_a_validation_of_ones_own_has_no_other_loss(data: TextDataModule) -> None:
    run = trainer(max_steps=4, val_check_interval=4)
    run.fit(module_of(data, OwnValidation), data)
    assert run.callback_metrics["val/own"] == 0.5
    assert "val/loss" not in run.callback_metrics


# options of which each may stand beside the others of its line
OPTIONS: list[dict[str, Any]] = [
    {"limit_train_batches": 0.5, "limit_val_batches": 0, "precision": "64-true",
     "accumulate_grad_batches": 2, "detect_anomaly": True},
    {"limit_train_batches": 3, "limit_val_batches": 1, "precision": "bf16-true",
     "num_sanity_val_steps": 2, "inference_mode": False},
    {"min_epochs": 1, "check_val_every_n_epoch": 2, "reload_dataloaders_every_n_epochs": 1,
     "sync_batchnorm": True, "max_time": {"minutes": 1}},
    {"val_check_interval": 0.5, "strategy": "ddp", "devices": 1},
    {"max_steps": 0},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_of_the_trainer(data: TextDataModule, options: dict[str, Any]) -> None:
    trainer(**{"max_epochs": 2, **options}).fit(module_of(data), data)


# words as lightning-hydra-template's users write them, and a part of the line that refuses them
NEEDS_GPU = "" if torch.cuda.is_available() else "trainer.accelerator=gpu: "
COMMANDS = {
    "trainer=gpu +trainer.fast_dev_run=true": NEEDS_GPU,
    "+trainer.min_epochs=2 trainer.max_epochs=2 +trainer.overfit_batches=10 logger=csv": "",
    "+trainer.limit_train_batches=0.25 +trainer.limit_val_batches=0.5": "",
    "trainer.max_epochs=1 callbacks=none ~logger": "",
    "debug=limit": "",
    "debug=overfit trainer.max_steps=9": "",
    "debug=profiler": "",
    "-m optimizer.lr=0.005,0.01 trainer=ddp hydra.sweep.dir=sweep logger=[]":
        "each job trains in one process",
    "trainer.devices=2 trainer.strategy=ddp_spawn": "one of auto, ddp",
    "++trainer.val_check_interval=0.5 trainer.max_epochs=2": "",
    "trainer.val_check_interval=10 trainer.max_steps=20": "",
    "trainer.val_check_interval=10 trainer.check_val_every_n_epoch=2": "",
    "trainer.val_check_interval=0": "validate_every=0 turns validation off",
    "++trainer.gpus=0": "lightning.Trainer takes no gpus",
}  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_works_or_is_refused(workplace: Path, capfd: Capture, words: str) -> None:
    small = [word for word in SMALL if "callbacks=none" not in words or "callbacks" not in word]
    code = main(["train", *small, *words.split()])
    err = capfd.readouterr().err
    assert (code, "Traceback" in err) == (2 if COMMANDS[words] else 0, False), err
    assert COMMANDS[words] in err.splitlines()[-1]
