"""Test what users of Lightning and Hydra write: it works, or is refused in a line."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torchmetrics
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import ThroughputMonitor
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from charrnn import LanguageModel, TextDataModule
from charrnn.__main__ import main
from tests.small_runs import SMALL, Capture
from tests.training.notebook import module_of, rows, trainer


@pytest.fixture(autouse=True)
def no_process_group() -> Iterator[None]:
    """Remove the process group of strategy="ddp", which the next test would share."""
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


# -- another module, a part of the validation --------------------------------------------------


class Bigrams(L.LightningModule):
    """A module that knows nothing of charrnn."""

    def __init__(self, data: TextDataModule, unpacks: bool = True) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(data.vocabulary), len(data.vocabulary))
        self.unpacks, self.validated = unpacks, 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        ids, targets, *_ = batch if self.unpacks else (batch[0], batch[1])
        return F.cross_entropy(self.embedding(ids).flatten(0, 1), targets.flatten())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.validated += batch[0].numel()
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


class OwnMetric(LanguageModel):
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/own", torch.tensor(0.5))


WINDOWS = {
    "unpacks": (Bigrams, {"num_sanity_val_steps": 0}),
    "indexes": (lambda data: Bigrams(data, unpacks=False), {}),
    "throughput": (module_of, {}),
    "a part": (module_of, {"limit_val_batches": 0.5}),
    "a part of all": (module_of, {"overfit_batches": 0.5}),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_other_code_gets_windows_of_the_validation(
    data: TextDataModule, tmp_path: Path, case: str
) -> None:
    make, options = WINDOWS[case]

    callbacks: list[L.Callback] = []
    if case == "throughput":
        count = ThroughputMonitor(lambda batch: len(batch[0]), lambda batch: batch[0].numel())
        callbacks.append(count)
    logger = CSVLogger(tmp_path) if callbacks else False
    run = trainer(*callbacks, max_epochs=1, logger=logger, **options)
    run.fit(make(data), data)
    assert 0 < run.callback_metrics["val/loss"] < 5
    if case == "unpacks":
        ids = len(data.encoded.get_split("val"))
        assert run.lightning_module.validated == (ids - 1) // 4 // 10 * 40


class Perplexity(LanguageModel):
    """A module whose validation is a metric of torchmetrics."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.perplexity = torchmetrics.text.Perplexity()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        ids, targets, _ = batch
        self.perplexity(self(ids)[0], targets)
        self.log("val/perplexity", self.perplexity)


class Accuracy(L.Callback):
    def __init__(self) -> None:
        self.metric = torchmetrics.MeanMetric()

    def on_validation_batch_end(
        self, trainer: Any, module: Any, _: Any, batch: Any, *rest: Any
    ) -> None:
        ids, targets, _ = batch
        self.metric.update((module(ids)[0].argmax(-1) == targets).float())


class Combined(Bigrams):
    """A module that trains on two loaders at once."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return sum((super(Combined, self).training_step(b, 0) for b in batch), torch.zeros(()))


def test_metrics_combined_loaders_fabric_and_lr_find_work(data: TextDataModule) -> None:
    assert str(data).startswith("TextDataModule(")
    assert "train 840, val 105, test 105" in str(data)
    accuracy, interval = Accuracy(), {"max_steps": 4, "val_check_interval": 4}
    trainer(accuracy, **interval).fit(module_of(data), data)
    assert 0 < accuracy.metric.compute() < 1
    run = trainer(**interval)
    run.fit(module_of(data, Perplexity), data)
    assert 2 < run.callback_metrics["val/perplexity"] < 30
    two = CombinedLoader([data.val_dataloader(), data.val_dataloader()], "sequential")
    run = trainer(**interval)
    run.fit(module_of(data), data.train_dataloader(), two)
    assert 0 < run.callback_metrics["val/loss"] < 5
    trainer(max_steps=2).fit(Combined(data), [data.train_dataloader(), data.train_dataloader()])
    loader = DataLoader(data.train_dataloader(), batch_size=None)
    ids, targets, begins = next(
        iter(Fabric(accelerator="cpu", devices=1).setup_dataloaders(loader))
    )
    assert (ids.shape, targets.shape, begins) == ((4, 10), (4, 10), True)
    tuner = Tuner(trainer(max_steps=50, enable_checkpointing=True))
    found = tuner.lr_find(module_of(data), datamodule=data, update_attr=False, num_training=20)
    assert found is not None
    assert 1e-8 <= found.suggestion(skip_begin=1, skip_end=1) <= 1


# -- loggers ----------------------------------------------------------------------------


def test_a_row_of_a_logger_has_values(data: TextDataModule, tmp_path: Path) -> None:
    run = trainer(
        max_epochs=2, logger=CSVLogger(tmp_path, name="", version=""), val_check_interval=7
    )
    run.fit(module_of(data, OwnMetric), data)
    logged = rows(tmp_path / "metrics.csv")
    assert {"1", "5", "7", "14", "40"} <= {row["step"] for row in logged}
    assert all(any(value for name, value in row.items() if name != "step") for row in logged)
    assert [row["step"] for row in logged if row["val/own"]] == ["7", "14", "27", "34"]


# -- Lightning's Trainer ---------------------------------------------------------------------------

# options of which each may stand beside the others of its line
OPTIONS: list[dict[str, Any]] = [
    *({"fast_dev_run": value} for value in (True, 3)),
    {"overfit_batches": 2, "precision": 32, "benchmark": True, "enable_model_summary": True},
    {"limit_train_batches": 0.5, "limit_val_batches": 0, "precision": "64-true",
     "accumulate_grad_batches": 2, "detect_anomaly": True},
    {"limit_train_batches": 3, "limit_val_batches": 1, "limit_test_batches": 1,
     "precision": "bf16-true", "gradient_clip_val": 1.0, "num_sanity_val_steps": 2},
    {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value", "max_time": "00:00:10:00",
     "profiler": "simple", "inference_mode": False, "deterministic": True},
    {"max_time": {"minutes": 1}, "min_steps": 5, "max_steps": 7, "profiler": "advanced",
     "num_sanity_val_steps": -1, "deterministic": "warn"},
    *({"max_steps": 0}, {"max_epochs": 0}),
    {"max_epochs": -1, "max_steps": 5, "enable_progress_bar": True, "logger": True},
    {"min_epochs": 1, "check_val_every_n_epoch": 2, "strategy": "auto",
     "reload_dataloaders_every_n_epochs": 1, "sync_batchnorm": True},
    {"val_check_interval": 0.5, "strategy": "ddp", "devices": 1},
    {"val_check_interval": 5, "use_distributed_sampler": False},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_of_the_trainer(data: TextDataModule, options: dict[str, Any]) -> None:
    torch_settings = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    trainer(**{"max_epochs": 2, **options}).fit(module_of(data), data)
    torch.use_deterministic_algorithms(torch_settings[0])
    torch.backends.cudnn.benchmark = torch_settings[1]


CALLBACKS: list[dict[str, dict[str, Any]]] = [
    {
        "EarlyStopping": {"monitor": "val/loss"},
        "ModelCheckpoint": {"monitor": "val/loss", "save_last": True, "save_top_k": 2},
        "LearningRateMonitor": {"logging_interval": "step"},
        "DeviceStatsMonitor": {"cpu_stats": False},
        "Timer": {"duration": "00:00:10:00"},
        "TQDMProgressBar": {"refresh_rate": 1},
        "ModelSummary": {"max_depth": 2},
        "LambdaCallback": {"on_train_start": lambda *_: None},
        "OnExceptionCheckpoint": {"dirpath": "."},
    },
    {
        "GradientAccumulationScheduler": {"scheduling": {0: 2}},
        "StochasticWeightAveraging": {"swa_lrs": 1e-2, "swa_epoch_start": 1},
    },
    {"ModelPruning": {"pruning_fn": "l1_unstructured"}},
]


@pytest.mark.parametrize("names", CALLBACKS, ids=lambda names: next(iter(names)))
def test_callbacks_of_lightning(data: TextDataModule, names: dict[str, dict[str, Any]]) -> None:
    callbacks = [getattr(L.pytorch.callbacks, n)(**options) for n, options in names.items()]
    shown = ("enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    run = trainer(*callbacks, max_epochs=2, logger=CSVLogger("logs"), **dict.fromkeys(shown, True))
    run.fit(module_of(data), data)


def test_a_trained_module_is_copied(data: TextDataModule) -> None:
    import torch._dynamo  # after which a validation is not compiled

    module = module_of(data)
    trainer(max_epochs=1).fit(module, data)
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(copied.network.decoder.weight, module.network.decoder.weight)


# -- the commands of lightning-hydra-template's tests, in charrnn's words --------------------------

SWEEP = "hydra.sweep.dir=sweep logger=[]"
NEEDS_GPU = "" if torch.cuda.is_available() else "trainer.accelerator=gpu: "
COMMANDS = {
    "+trainer.fast_dev_run=true": "",
    "trainer=gpu +trainer.fast_dev_run=true": NEEDS_GPU,
    "trainer=gpu trainer.max_epochs=1 trainer.precision=16-mixed": NEEDS_GPU,
    "trainer.max_epochs=1 trainer=cpu validate_every=10 +trainer.accumulate_grad_batches=10": "",
    "trainer.max_epochs=2 trainer=ddp_sim": "",
    "+trainer.min_epochs=2 trainer.max_epochs=2 +trainer.overfit_batches=10 logger=csv": "",
    "+trainer.limit_train_batches=0.25 +trainer.limit_val_batches=0.5": "",
    "trainer.max_epochs=1 callbacks=none ~logger": "",
    "debug=limit": "",
    "debug=overfit trainer.max_steps=9": "",
    "debug=profiler": "",
    f"-m experiment=glob(*) +trainer.fast_dev_run=true {SWEEP}": "",
    f"-m optimizer.lr=0.005,0.01 trainer=ddp_sim {SWEEP}": "each job trains in one process",
    f"sweep=tpe hydra.sweeper.n_trials=3 trainer=ddp_sim {SWEEP}": "each job trains in one process",
    # in the template's words
    "trainer.devices=2 trainer.strategy=ddp_spawn": "one of auto, ddp",
    "++trainer.val_check_interval=0.5 trainer.max_epochs=2": "",
    "trainer.val_check_interval=10 trainer.max_steps=20": "",
    "+trainer.val_check_interval=30 trainer.max_steps=30": "",
    "trainer.val_check_interval=10 trainer.check_val_every_n_epoch=2": "",
    "trainer.val_check_interval=0": "validate_every=0 turns validation off",
    "trainer.val_check_interval=0 validate_every=0 trainer.max_steps=3": "",
    "++trainer.gpus=0": "lightning.Trainer takes no gpus",
    "model.optimizer.lr=0.01": "write optimizer.NAME=",
}


SLOW = {words for words in COMMANDS if re.search("profiler|limit$|glob|=ddp_sim$", words)}


@pytest.mark.parametrize(
    "words", [pytest.param(w, marks=pytest.mark.slow) if w in SLOW else w for w in COMMANDS]
)
def test_a_command_works_or_is_refused_in_a_line(
    workplace: Path, capfd: Capture, words: str
) -> None:
    small = [word for word in SMALL if "callbacks=none" not in words or "callbacks" not in word]
    code = main(["train", *small, *words.split()])
    err = capfd.readouterr().err
    assert (code, "Traceback" in err) == (2 if COMMANDS[words] else 0, False), err
    assert COMMANDS[words] in err.splitlines()[-1]
