"""What users of Lightning and Hydra write works, or is refused in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ThroughputMonitor
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.nn import functional as F

import charrnn
from charrnn import LanguageModel, TextDataModule, plugins
from charrnn.errors import InputError
from tests.training.notebook import module_of, rows, trainer

# -- another module, a part of the validation --------------------------------------------------


class Bigrams(L.LightningModule):
    """A module that knows nothing of charrnn."""

    def __init__(self, data: TextDataModule, unpacks: bool = True) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(data.vocabulary), len(data.vocabulary))
        self.unpacks = unpacks

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        ids, targets, *_ = batch if self.unpacks else (batch[0], batch[1])
        return F.cross_entropy(self.embedding(ids).flatten(0, 1), targets.flatten())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


class OwnMetric(LanguageModel):
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/own", torch.tensor(0.5))


def make_throughput_monitor() -> ThroughputMonitor:
    return ThroughputMonitor(lambda batch: batch[0].size(0), lambda batch: batch[0].numel())


NEEDS_WINDOWS = {
    "unpacks": (Bigrams, {}),
    "indexes": (lambda data: Bigrams(data, unpacks=False), {}),
    "throughput": (module_of, {"logger": True}),
    "a part": (module_of, {"limit_val_batches": 0.5}),
    "a part of all": (module_of, {"overfit_batches": 0.5}),
}


@pytest.mark.parametrize("case", NEEDS_WINDOWS)
def test_other_code_is_told_of_windows_and_works_with_them(
    data: TextDataModule, tmp_path: Path, case: str
) -> None:
    make, options = NEEDS_WINDOWS[case]

    def fit() -> L.Trainer:
        callbacks = [make_throughput_monitor()] if case == "throughput" else []
        logger = CSVLogger(tmp_path) if case == "throughput" else False
        run = trainer(*callbacks, max_epochs=1, **{**options, "logger": logger})
        run.fit(make(data), data)
        return run

    with pytest.raises(InputError, match=r'validation="windows"'):
        fit()
    data.validation = "windows"
    assert "val/loss" in fit().callback_metrics


def test_a_metric_of_ones_own_for_the_whole_text(data: TextDataModule) -> None:
    run = trainer(max_epochs=1)
    run.fit(module_of(data, OwnMetric), data)
    assert run.callback_metrics["val/own"] == 0.5


# -- loggers, configs ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LanguageModel, OwnMetric])
def test_a_row_of_a_logger_has_values(
    data: TextDataModule, tmp_path: Path, kind: type[LanguageModel]
) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    run = trainer(max_epochs=2, logger=logger, val_check_interval=7)
    run.fit(module_of(data, kind), data)
    logged = rows(tmp_path / "metrics.csv")
    assert {"1", "5", "7", "14", "40"} <= {row["step"] for row in logged}
    assert all(any(value for name, value in row.items() if name != "step") for row in logged)
    steps = [row["step"] for row in logged if row.get("val/own")]
    assert steps == (["7", "14", "27", "34"] if kind is OwnMetric else [])


def test_a_composed_config_builds_its_model_and_is_no_override(data: TextDataModule) -> None:
    with hydra.initialize_config_dir(str(plugins.CONF), version_base="1.3"):
        config = hydra.compose("train", ["model.hidden_size=8"])
    module = hydra.utils.instantiate(config.model, vocabulary=data.vocabulary)
    assert module.vocabulary is data.vocabulary
    assert module.network.architecture.hidden_size == 8
    with pytest.raises(TypeError, match=r'not a config: charrnn\.train\("model=gru"'):
        charrnn.train(config)
