"""Test that what users of Lightning and Hydra write works."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.fabric import Fabric
from lightning.pytorch import callbacks as ready_made
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch import Tensor
from torch.nn import functional as F

from charrnn import LanguageModel, TextDataModule
from charrnn.__main__ import main
from charrnn.training import RunCheckpoints
from tests.small_runs import SMALL, assert_same
from tests.training.notebook import WINDOWS, module_of, trainer


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


@pytest.mark.parametrize("checkpoints", [(), (RunCheckpoints(),)])
def test_the_tuner_finds_a_learning_rate_by_itself(data: TextDataModule, checkpoints: Any) -> None:
    """Check that the training afterwards is one with this rate from the start."""
    module = module_of(data, dropout=0.3)
    run = trainer(*checkpoints, max_steps=50, enable_checkpointing=True)
    found = Tuner(run).lr_find(module, data)
    assert found is not None
    rate = found.suggestion()
    assert module.lr == module.hparams.optimizer["lr"] == rate
    optimizer = functools.partial(torch.optim.Adam, lr=rate)
    plain = module_of(data, dropout=0.3, optimizer=optimizer)
    for each in (module, plain):
        torch.manual_seed(3)
        trainer(max_steps=9).fit(each, data)
    assert_same(module.state_dict(), plain.state_dict())


class OfTwoTexts(LanguageModel):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        assert batch["other"][0].shape == (2, 5)
        return super().training_step(batch["mine"], batch_idx)


@pytest.mark.parametrize("mode", ["min_size", "max_size_cycle"])
def test_windows_in_a_combined_loader(data: TextDataModule, mode: Any) -> None:
    """Train on all windows, again and again if another loader has more."""
    other = TextDataModule("corpus.txt", batch_size=2, seq_length=5)
    other.setup()
    loaders = {"mine": data.train_dataloader(), "other": other.train_dataloader()}
    begins: list[int] = []

    def note(trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch["mine"][2]:
            begins.append(batch_idx)

    run = trainer(ready_made.LambdaCallback(on_train_batch_start=note), max_epochs=1)
    combined = CombinedLoader(loaders, mode)
    run.fit(module_of(data, OfTwoTexts), combined, data.val_dataloader())
    assert begins == ([0] if mode == "min_size" else [0, 20, 40, 60, 80])
    assert run.callback_metrics["characters_per_second"] > 0


def test_the_loader_is_torchs_for_fabric(data: TextDataModule) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    loader = fabric.setup_dataloaders(data.train_dataloader())
    assert (loader.batch_size, len(loader.dataset), len(loader)) == (4, WINDOWS, WINDOWS)
    first, *_, last = loader
    assert (first[0].shape, first[2], last[2]) == ((4, 10), True, False)


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


# words as lightning-hydra-template's users write them
COMMANDS = (
    "+trainer.min_epochs=2 trainer.max_epochs=2 +trainer.overfit_batches=10 logger=csv",
    "trainer.max_epochs=1 callbacks=none ~logger",
    "debug=limit trainer.max_epochs=2",
    "debug=overfit trainer.max_steps=9",
    "debug=profiler trainer.max_epochs=2",
    "++trainer.val_check_interval=0.5 trainer.max_epochs=2",
)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_works(workplace: Path, words: str) -> None:
    small = [word for word in SMALL if "callbacks=none" not in words or "callbacks" not in word]
    assert main(["train", *small, *words.split()]) == 0
