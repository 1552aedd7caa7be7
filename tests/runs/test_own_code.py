"""A user's code on the command line: a model, a schedule, a callback, and their faults."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from tests.conftest import write_files
from tests.small_runs import SMALL, Capture, Train, assert_same, metrics, tensors

MODULE = """
import lightning as L
import torch
from charrnn import LanguageModel, TextDataModule
from charrnn.errors import InputError
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


class HalfText(TextDataModule):
    def __init__(self, *args, share=0.5, **options):
        super().__init__(*args, **options)
        self.share, self.is_cut = share, False

    def setup(self, stage=None):
        super().setup(stage)
        if not self.is_cut:
            self.is_cut = True
            train = self.encoded.splits["train"]
            self.encoded.splits["train"] = train[: int(self.share * len(train))]


class FaultyModel(LanguageModel):
    def __init__(self, **options):
        super().__init__(**options)
        raise TypeError("mine")


class Picky(LanguageModel):
    def compute_loss(self, logits, targets):
        raise InputError("model.color=red: not today")


class FaultyLoss(LanguageModel):
    def compute_loss(self, logits, targets):
        return F.cross_entropy(logits, targets.float()[:3])


class Faulty(L.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.count(batch_idx)

    def count(self, batch_idx):
        return 1 / (2 - batch_idx)
"""
FAULTY_PACKAGE = """
from lightning.pytorch.callbacks import Timer

class FaultyTimer(Timer):
    def __init__(self):
        super().__init__(interval="step")

    def on_train_batch_end(self, *args, **kwargs):
        self._duration = "x"  # which Lightning compares with a number
        super().on_train_batch_end(*args, **kwargs)
"""
SCHEDULE = "{{_target_: torch.optim.lr_scheduler.{}, _partial_: true{}}}"
FILES = {
    "schedule/plateau.yaml": SCHEDULE.format("ReduceLROnPlateau", ""),
    "schedule/one_cycle.yaml": SCHEDULE.format("OneCycleLR", ", max_lr: 0.01"),
    "model/mine.yaml": "defaults: [lstm]\n_target_: own_code.Model\nweight: 1.0\n",
}
OWN = ("--config-dir", "own")


@pytest.fixture(autouse=True)
def own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a module of a user in the current folder, and YAML files beside it."""
    write_files(workplace / "own", FILES)
    write_files(workplace, {OWN_CODE: MODULE, PACKAGE: FAULTY_PACKAGE})
    for name, folder in (("own_code", "."), ("faulty_package", "site-packages")):
        monkeypatch.syspath_prepend(str(workplace / folder))
        monkeypatch.delitem(sys.modules, name, raising=False)
    return workplace


# -- a model ---------------------------------------------------------------------------------


def test_a_model_of_ones_own(train: Train, capfd: Capture) -> None:
    """Compare, by a YAML file and typed: it is the run without it, and resumes to the bit."""
    plain = train("model.dropout=0.2", "trainer.max_steps=12", folder="plain")
    run = train(*OWN, "model=mine", "model.dropout=0.2", "trainer.max_steps=8")
    train("resume=run", "trust=true", "trainer.max_steps=12", small=False)
    found, expected = tensors(run), tensors(plain)
    for part in ("weights", "optimizer", "ranks"):
        assert_same(found[part], expected[part], part)
    assert charrnn.load(run).generate(10, seed=1) == charrnn.load(plain).generate(10, seed=1)
    typed = ("model._target_=own_code.Model", "+model.weight=2", "model.dropout=0.2")
    doubled = train(*typed, "trainer.max_steps=1", folder="doubled")
    losses = [float(metrics(each)[0]["train/loss"]) for each in (doubled, plain)]
    assert losses[0] == pytest.approx(2 * losses[1])


def test_a_data_module_of_ones_own(train: Train, workplace: Path) -> None:
    """Check that the text of a user's data module decides the open sizes."""
    (workplace / "long.txt").write_text("abc, def. " * 12_000, encoding="utf-8")
    words = ("data.input_txt=long.txt", "data.batch_size=null", "data.seq_length=64",
             "validate_every=0", "~callbacks.counts", "trainer.max_steps=1")  # fmt: skip
    half = ("data._target_=own_code.HalfText", "+data.share=0.25")
    runs = [train(*words, folder="whole"), train(*words, *half, folder="half")]
    facts = [charrnn.load(run).trained.facts for run in runs]
    assert [each["streams"] for each in facts] == [16, 8]
    resumed = train("resume=half", "trust=true", "trainer.max_steps=2", small=False, folder="half")
    assert tensors(resumed)["step"] == 2


def added(callback: str) -> str:
    return f"+callbacks.x={{_target_:lightning.pytorch.callbacks.{callback}}}"


REFUSED = {
    # the options of a user's model are checked as always
    "model._target_=own_code.Model model.hidden_size=many": "model.hidden_size=many",
    "model._target_=lightning.LightningModule": "must make a charrnn.LanguageModel",
    "data._target_=own_code.Data": "must make a charrnn.TextDataModule, or derive from it",
    "+callbacks.x._target_=builtins.dict": "callbacks.x._target_=builtins.dict: must make a ",
    "+logger.x._target_=builtins.dict": "logger.x._target_=builtins.dict: must make a ",
    # what Lightning says of its arguments
    "trainer.check_val_every_n_epoch=1 trainer.val_check_interval=500": "trainer: `val_check_int",
    # what no resume could repeat
    added("LearningRateFinder"): "callbacks: LearningRateFinder does not resume",
    added("StochasticWeightAveraging,swa_lrs:0.01"): "callbacks=ema averages the weights",
    # a monitor that there is not
    "callbacks=early_stopping callbacks.early_stopping.monitor=val_loss": "val/loss",
    added("ModelCheckpoint,monitor:val_loss"): "val/loss",
    # what can only be seen when it is built
    "+trainer.profiler=nonsense": "profiler",
    "optimizer=sgd optimizer.momentum=-3": "momentum",
    # a schedule that cannot be made
    "schedule=one_cycle optimizer=muon": "cycle_momentum",
    "schedule=plateau": "ReduceLROnPlateau",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_users_class_that_does_not_fit_is_refused_in_a_line(words: str, capfd: Capture) -> None:
    capfd.readouterr()
    assert main(["train", *SMALL, *OWN, "trainer.max_steps=20", *words.split()]) == 2
    out, err = capfd.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    assert REFUSED[words] in err.splitlines()[-1]


# -- schedules -------------------------------------------------------------------------------


def test_a_schedule_of_torchs_resumes_to_the_bit(train: Train, capfd: Capture) -> None:
    words = (*OWN, "schedule=one_cycle", "validate_every=5", "print_every=1")
    length = "trainer.max_steps=17"
    whole = train(*words, length, "callbacks.checkpoints.keep_every=10", folder="whole")
    part = Path(shutil.copytree(whole, whole.parent / "part"))
    (part / "checkpoints" / "step-10.ckpt").replace(part / "checkpoints" / "last.ckpt")
    train("resume=part", *OWN, "schedule=one_cycle", small=False)
    assert_same(tensors(part), tensors(whole))
    train("resume=part", *OWN, "schedule=one_cycle", "optimizer.lr=0.1", small=False, code=2)
    assert "optimizer.lr: a resume cannot change it, because torch" in capfd.readouterr().err
    assert metrics(part) == metrics(whole)
    rates = [float(row["lr"]) for row in metrics(whole) if row["lr"]]
    assert rates[0] < rates[7] > rates[-1]


# -- faults that are not charrnn's -----------------------------------------------------------


OWN_CODE, PACKAGE = "own_code.py", "site-packages/faulty_package.py"
# the word -> the line of its code, the end of the command
FAULTS = {
    "+callbacks.own._target_=own_code.Faulty": (
        "return 1 / (2 - batch_idx)",
        "callbacks.own: own_code.Faulty raised ZeroDivisionError: division by zero",
    ),
    "model._target_=own_code.FaultyLoss": (
        "return F.cross_entropy(logits, targets.float()[:3])",
        "model: own_code.FaultyLoss raised ValueError: ",
    ),
    "model._target_=own_code.FaultyModel": (
        'raise TypeError("mine")',
        "model: own_code.FaultyModel raised TypeError: mine",
    ),
    "+callbacks.own._target_=faulty_package.FaultyTimer": (
        "super().on_train_batch_end(*args, **kwargs)",
        "callbacks.own: faulty_package.FaultyTimer raised TypeError: ",
    ),
}


@pytest.mark.parametrize("word", FAULTS)
def test_a_fault_in_a_class_of_the_user_has_its_traceback(
    train: Train, word: str, capfd: Capture
) -> None:
    line, end = FAULTS[word]
    train(word, "trainer.max_steps=9", "checkpoint_every=1", code=1)
    err = capfd.readouterr().err
    assert "bug in charrnn" not in err
    assert err.splitlines()[-1].startswith(f"charrnn train: {end}")
    assert "charrnn train resume=run" in err.splitlines()[-1]
    assert err.count("Traceback (most recent call last):") == 1
    assert line in err


def test_a_line_of_a_users_class_is_a_line(train: Train, capfd: Capture) -> None:
    """Check that an InputError of a user's class has no traceback."""
    train("model._target_=own_code.Picky", "trainer.max_steps=9", code=2)
    assert capfd.readouterr().err.splitlines()[-1].startswith("charrnn train: model.color=red: no")
