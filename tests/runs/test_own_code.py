"""A user's code on the command line: a model, a schedule, a callback, and their faults."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.runs.result import read_result
from tests.conftest import write_files
from tests.small_runs import SMALL, Capture, Train, assert_same, column, tensors

MODULE = """
import signal

import lightning as L
from charrnn import LanguageModel
from charrnn.errors import InputError


class Model(LanguageModel):
    def __init__(self, *args, weight=1.0, **options):
        super().__init__(*args, **options)
        self.weight = weight

    def compute_loss(self, logits, targets):
        return self.weight * super().compute_loss(logits, targets)


class Picky(LanguageModel):
    def compute_loss(self, logits, targets):
        raise InputError("model.color=red: not today")


class Distance(L.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        self.log("own/distance", abs(trainer.optimizers[0].param_groups[0]["lr"] - 0.002))


class Stop(L.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 4:
            signal.raise_signal(signal.SIGINT)
"""
OWN = ("--config-dir", "own")


@pytest.fixture(autouse=True)
def own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a module of a user in the current folder, and YAML files beside it."""
    mine = "defaults: [lstm]\n_target_: own_code.Model\nweight: 1.0\n"
    write_files(workplace, {"own_code.py": MODULE, "own/model/mine.yaml": mine})
    monkeypatch.syspath_prepend(str(workplace))
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    return workplace


def test_a_model_of_ones_own(train: Train, capfd: Capture) -> None:
    """Compare, by a YAML file and typed: it is the run without it, and resumes to the bit."""
    plain = train("model.dropout=0.2", "trainer.max_steps=12", folder="plain")
    run = train(*OWN, "model=mine", "model.dropout=0.2", "trainer.max_steps=8")
    train(*OWN, "resume=run", "model=mine", "trainer.max_steps=12", small=False)
    found, expected = tensors(run), tensors(plain)
    for part in ("weights", "optimizer", "ranks"):
        assert_same(found[part], expected[part], part)
    assert charrnn.load(run).generate(10, seed=1) == charrnn.load(plain).generate(10, seed=1)
    typed = ("model._target_=own_code.Model", "+model.weight=2", "model.dropout=0.2")
    doubled = train(*typed, "trainer.max_steps=1", folder="doubled")
    assert column(doubled, "train/loss")[1] == pytest.approx(2 * column(plain, "train/loss")[1])


REFUSED = {
    # the options of a user's model are checked as always
    "model._target_=own_code.Model model.hidden_size=many": "model.hidden_size=many",
    "model._target_=lightning.LightningModule": "model: lightning.LightningModule cannot be made: ",
    "+callbacks.x._target_=builtins.dict": "callbacks.x._target_=builtins.dict: must make a ",
    # an InputError of the class
    "model._target_=own_code.Picky": "charrnn train: model.color=red: not today",
    # what no resume could repeat
    "+callbacks.x={_target_:lightning.pytorch.callbacks.LearningRateFinder}": "does not resume",
    # a monitor that there is not
    "callbacks=early_stopping callbacks.early_stopping.monitor=val_loss": "val/loss",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_users_class_that_does_not_fit_is_refused_in_a_line(words: str, capfd: Capture) -> None:
    capfd.readouterr()
    assert main(["train", *SMALL, *OWN, "trainer.max_steps=20", *words.split()]) == 2
    out, err = capfd.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    assert REFUSED[words] in err.splitlines()[-1]
    latest = Path("outputs/latest")
    assert latest.exists() == latest.is_symlink()  # It does not link to a removed folder.


def test_a_stopped_run_prints_the_command_that_continues_it(own: Path, capfd: Capture) -> None:
    words = [*OWN, "model=mine", "+callbacks.stop._target_=own_code.Stop", "trainer.max_steps=6"]
    assert main(["train", *SMALL, *words, "hydra.run.dir=run"]) == 130
    command = capfd.readouterr().err.splitlines()[-1].partition("to resume it: charrnn ")[2]
    assert main(shlex.split(command)) == 0
    assert tensors(own / "run")["step"] == 6


def test_a_sweep_ranks_by_its_metric(workplace: Path, capfd: Capture) -> None:
    words = ["-m", "optimizer.lr=0.0001,0.002,0.01", "hydra.sweep.dir=sweep"]
    words += ["+callbacks.own._target_=own_code.Distance", "optimized_metric=own/distance"]
    assert main(["train", *SMALL, *words, "trainer.max_steps=6", "validate_every=3"]) == 0
    err = capfd.readouterr().err
    assert "\nthe lowest own/distance first:\n" in err
    best = "sweep/1_optimizer.lr=0.002"
    result = read_result(workplace / best)
    assert result is not None
    assert (result.optimized_metric, result.objective) == ("own/distance", 0.0)
    assert f"sample from the best: charrnn sample checkpoint={best}\n" in err
