"""Code of one's own on the command line: a model, a schedule, a callback, and their faults."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from tests.small_runs import SMALL, Train, assert_same, metrics, tensors

MODULE = """
import lightning as L
import torch
from charrnn import LanguageModel
from torch.nn import functional as F


class Model(LanguageModel):
    def __init__(self, *args, weight=1.0, **options):
        super().__init__(*args, **options)
        self.weight = weight

    def training_step(self, batch, batch_idx):
        ids, targets, begins = batch
        logits, self.state = self(ids, None if begins else self.state)
        return {"loss": self.weight * F.cross_entropy(logits.flatten(0, 1), targets.flatten())}


class Data(L.LightningDataModule):
    def __init__(self, **options):
        super().__init__()


class Loss(LanguageModel):
    def compute_loss(self, logits, targets):
        return 2 * super().compute_loss(logits, targets)


class FaultyModel(LanguageModel):
    def __init__(self, **options):
        super().__init__(**options)
        raise TypeError("mine")


class FaultyLoss(LanguageModel):
    def compute_loss(self, logits, targets):
        return F.cross_entropy(logits, targets.float()[:3])


class Faulty(L.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.count(batch_idx)

    def count(self, batch_idx):
        return 1 / (2 - batch_idx)
"""
PLATEAU = """_target_: torch.optim.lr_scheduler.ReduceLROnPlateau
_partial_: true
factor: 0.5
patience: 0
threshold: 10.0
threshold_mode: abs
"""
ONE_CYCLE = """_target_: torch.optim.lr_scheduler.OneCycleLR
_partial_: true
max_lr: 0.01
"""
FILES = {
    "schedule/plateau.yaml": PLATEAU,
    "schedule/one_cycle.yaml": ONE_CYCLE,
    "model/mine.yaml": "defaults: [lstm]\n_target_: own_code.Model\nweight: 1.0\n",
}
OWN = ("--config-dir", "own")


@pytest.fixture(autouse=True)
def own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of one's own in the folder that one stands in, and YAML files beside it."""
    for name, content in FILES.items():
        path = workplace / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (workplace / "own_code.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(workplace))
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    return workplace


def refused(*words: str, capfd: pytest.CaptureFixture[str], folder: str = "refused") -> str:
    capfd.readouterr()
    assert main(["train", *SMALL, f"hydra.run.dir={folder}", *words]) == 2
    out, err = capfd.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    return err.splitlines()[-1]


# -- a model ---------------------------------------------------------------------------------


def test_a_model_of_ones_own(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    """By a YAML file and typed: it is the run without it, and resumes to the bit."""
    plain = train("model.dropout=0.2", "trainer.max_steps=18", folder="plain")
    chosen = (*OWN, "model=mine")
    run = train(*chosen, "model.dropout=0.2", "trainer.max_steps=11")
    train("resume=run", "model._target_=own_code.Model", "trainer.max_steps=18", small=False)
    assert_same(tensors(run), tensors(plain))
    assert metrics(run)[-1] == metrics(plain)[-1]
    assert charrnn.load(run).generate(10, seed=1) == charrnn.load(plain).generate(10, seed=1)
    typed = ("model._target_=own_code.Model", "+model.weight=2", "model.dropout=0.2")
    doubled = train(*typed, "trainer.max_steps=1", folder="doubled")
    losses = [float(metrics(each)[0]["train/loss"]) for each in (doubled, plain)]
    assert losses[0] == pytest.approx(2 * losses[1])
    # its options are held to what they always are
    wrong = refused(typed[0], "model.hidden_size=many", capfd=capfd)
    assert "model.hidden_size=many" in wrong
    wrong = refused("model._target_=lightning.LightningModule", capfd=capfd)
    assert "model._target_=lightning.LightningModule: must be charrnn.LanguageModel" in wrong


def test_data_of_another_kind(capfd: pytest.CaptureFixture[str]) -> None:
    wrong = refused("data._target_=own_code.Data", capfd=capfd)
    assert "data._target_=own_code.Data: must be charrnn.TextDataModule or derive from it" in wrong


def test_a_loss_of_ones_own_under_threads(train: Train) -> None:
    words = ("data.batch_size=24", "data.seq_length=5", "trainer.max_steps=1")
    losses = []
    for name, threads in (("charrnn.LanguageModel", 1), ("own_code.Loss", 1), ("own_code.Loss", 2)):
        run = train(*words, f"model._target_={name}", f"trainer.threads={threads}",
                    folder=f"{name}-{threads}")  # fmt: skip
        losses.append(float(metrics(run)[0]["train/loss"]))
    assert losses[1] == pytest.approx(losses[2], abs=1e-5)
    assert losses[1] == pytest.approx(2 * losses[0], abs=1e-5)


def test_a_run_without_a_model_says_so(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    for number, word in enumerate(("callbacks.checkpoints=null", "+trainer.limit_train_batches=0")):
        capfd.readouterr()
        train(word, "trainer.max_steps=3", folder=f"run-{number}")
        err = capfd.readouterr().err
        assert "sample from it" not in err
        assert "no model was saved" in err


# -- schedules -------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["plateau", "one_cycle"])
def test_a_schedule_of_torchs_resumes_to_the_bit(train: Train, schedule: str) -> None:
    words = (*OWN, f"schedule={schedule}", "validate_every=5", "print_every=1")
    length = "trainer.max_steps=24"
    whole = train(*words, length, "callbacks.checkpoints.keep_every=10", folder="whole")
    part = Path(shutil.copytree(whole, whole.parent / "part"))
    (part / "checkpoints" / "step-10.ckpt").replace(part / "checkpoints" / "last.ckpt")
    train("resume=part", *OWN, f"schedule={schedule}", small=False)
    assert_same(tensors(part), tensors(whole))
    assert metrics(part) == metrics(whole)
    rates = {int(row["step"]): float(row["lr"]) for row in metrics(whole) if row["lr"]}
    if schedule == "plateau":
        assert [rates[step] for step in (1, 10, 11, 16, 24)] == pytest.approx(
            [2e-3, 2e-3, 1e-3, 5e-4, 2.5e-4]
        )
    else:
        assert rates[1] < rates[8] > rates[24]


def test_a_schedule_that_cannot_be_made(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    said = refused(*OWN, "schedule=one_cycle", "optimizer=muon", capfd=capfd)
    assert "schedule: torch.optim.lr_scheduler.OneCycleLR cannot be made: " in said
    assert "cycle_momentum" in said
    train(*OWN, "schedule=one_cycle", "optimizer=muon", "+schedule.cycle_momentum=false",
          "trainer.max_steps=3")  # fmt: skip
    said = refused(*OWN, "schedule=plateau", "validate_every=0", capfd=capfd)
    assert "ReduceLROnPlateau goes by val/loss" in said


# -- faults that are not charrnn's -----------------------------------------------------------


def test_a_monitor_that_there_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    for number, word in enumerate(
        (
            "callbacks.early_stopping.monitor=val_loss",
            "+callbacks.mine={_target_:lightning.pytorch.callbacks.ModelCheckpoint,monitor:val_loss}",
        )
    ):
        own = [] if number else ["callbacks=early_stopping"]
        said = refused(*own, word, "trainer.max_steps=20", capfd=capfd, folder=str(number))
        assert "callbacks: " in said
        assert "val_loss" in said
        assert "val/loss" in said
        assert "train/loss" in said


@pytest.mark.parametrize(
    ("name", "more"), [("LearningRateFinder", ""), ("StochasticWeightAveraging", ",swa_lrs:0.01")]
)
def test_what_no_resume_could_repeat_is_refused(
    name: str, more: str, capfd: pytest.CaptureFixture[str]
) -> None:
    said = refused(
        f"+callbacks.find={{_target_:lightning.pytorch.callbacks.{name}{more}}}", capfd=capfd
    )
    assert said.startswith(f"charrnn train: callbacks.find: {name} ")


FAULTS = {
    "+callbacks.own._target_=own_code.Faulty": ("ZeroDivisionError: division by zero", "1 / (2 -"),
    "model._target_=own_code.FaultyLoss": (
        "ValueError: ",
        "F.cross_entropy(logits, t",
    ),
}


@pytest.mark.parametrize("word", FAULTS)
def test_a_fault_in_ones_own_code_is_told_as_that(
    own: Path, train: Train, word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    error, line = FAULTS[word]
    number = 1 + next(i for i, text in enumerate(MODULE.split("\n")) if line in text)
    train(word, "trainer.max_steps=9", "checkpoint_every=1", code=1)
    err = capfd.readouterr().err
    said = err.splitlines()[-1]
    assert "fault in charrnn" not in err
    assert said.startswith(f"charrnn train: own_code.py:{number}: {error}")
    assert "not in charrnn" in said
    assert "charrnn train resume=run" in said
    assert line in err  # the line of code itself, by its traceback
    assert "trainer.py" not in err  # but not those of others


def test_a_fault_while_a_model_is_made(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "model._target_=own_code.FaultyModel"]) == 1
    assert re.search(r"own_code\.py:\d+: TypeError: mine", capfd.readouterr().err.splitlines()[-1])


def test_a_fault_in_the_jobs_of_a_sweep(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["train", *SMALL, "+callbacks.own._target_=own_code.Faulty", "trainer.max_steps=9"]
    assert main([*words, "-m", "seed=1,2", "hydra.sweep.dir=sweep"]) == 1
    err = capfd.readouterr().err
    assert len(re.findall(r"own_code\.py:\d+: ZeroDivisionError", err)) >= 2
    assert "fault in charrnn" not in err


@pytest.mark.slow
def test_a_fault_in_two_processes(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    train("+callbacks.own._target_=own_code.Faulty", "trainer.devices=2", code=1)
    err = capfd.readouterr().err
    assert re.search(r"own_code\.py:\d+: ZeroDivisionError", err.splitlines()[-1])
    assert "fault in charrnn" not in err
