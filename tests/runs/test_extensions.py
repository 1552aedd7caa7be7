"""What is added from outside: YAML files of one's own, a module, arguments of the Trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.small_runs import SMALL, Train, assert_same, tensors

MODULE = """
import lightning as L

class Counts(L.Callback):
    def __init__(self, path, every=1):
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step % self.every == 0:
            with open(self.path, "a") as file:
                file.write(f"{trainer.global_step}\\n")
"""
FILES = {
    "callbacks/counting.yaml": (
        "defaults: [default]\nsteps: {_target_: own_counts.Counts, path: counted}\n"
    ),
    "logger/lightnings.yaml": (
        "defaults: [csv]\nown: {_target_: lightning.pytorch.loggers.CSVLogger, name: own}\n"
    ),
    "optimizer/mine.yaml": (
        "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.1\nmomentum: 0.5\nweight_decay: 0.0\n"
    ),
}
CHOSEN = ("--config-dir", "own", "callbacks=counting", "logger=lightnings", "optimizer=mine")


@pytest.fixture
def own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three YAML files, and a module beside it."""
    for name, content in FILES.items():
        path = workplace / "own" / name
        path.parent.mkdir(parents=True)
        path.write_text(content, encoding="utf-8")
    (workplace / "own_counts.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(workplace))
    return workplace


def test_a_callback_a_logger_and_an_optimizer_of_ones_own(
    own: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a value that is looked up is recorded."""
    monkeypatch.setenv("LR", "0.05")
    chosen = (*CHOSEN, "optimizer.lr=${oc.env:LR}")
    whole = train(*chosen, "trainer.max_steps=12", folder="whole")
    (own / "counted").unlink()
    part = train(*chosen, "trainer.max_steps=8", folder="part")
    monkeypatch.setenv("LR", "0.25")
    train("resume=part", "trust=true", "trainer.max_steps=12", small=False)
    assert_same(tensors(part)["weights"], tensors(whole)["weights"])
    assert_same(tensors(part)["optimizer"], tensors(whole)["optimizer"])
    assert (own / "counted").read_text().split() == [str(step) for step in range(1, 13)]
    assert tensors(part)["optimizer"][0]["param_groups"][0]["momentum"] == 0.5
    [written] = (own / "whole").glob("own/version_*/metrics.csv")
    assert "val/loss" in written.read_text()


def test_a_resume_builds_nothing_that_is_not_named_today(
    own: Path, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    train(*CHOSEN, "trainer.max_steps=3", folder="part")
    (own / "counted").unlink()
    capfd.readouterr()
    assert main(["train", "resume=part", "trainer.max_steps=30"]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert "its callbacks.steps._target_=own_counts.Counts is not taken" in line
    assert main(["train", "resume=part/checkpoints/last.ckpt", "trainer.max_steps=30"]) == 2
    assert not (own / "counted").exists()


WRONG = {
    "+callbacks.own._target_=own_counts.Count": "no Count in own_counts; did you mean Counts?",
    "+callbacks.own._target_=own_count.Counts": "there is no module own_count",
    "optimizer._target_=torch.optim.Mon": "no Mon in torch.optim; did you mean Muon?",
    "+optimizer.momentun=0.9": "torch.optim.SGD takes no momentun; did you mean momentum?",
    "+logger.own.flash_logs_every_n_steps=3": "takes no flash_logs_every_n_steps; did you mean",
    "+trainer.accumulate_grad_batch=2": "did you mean accumulate_grad_batches?",
    "+trainer.log_every_n_steps=5": "print_every",
    # it can only be seen when it is built
    "optimizer.momentum=-3": "momentum",
    "+trainer.profiler=nonsense": "profiler",
}


@pytest.mark.parametrize("word", WRONG)
def test_what_cannot_be_built_is_refused_in_a_line(
    own: Path, word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", *SMALL, *CHOSEN, word, "hydra.run.dir=run"]
    assert main(words) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert WRONG[word] in line
    assert not (own / "run").exists()


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["+trainer.profiler=simple", "trainer.max_steps=5"], 5),
        (["+trainer.limit_train_batches=3", "trainer.max_epochs=4"], 12),
        (["+trainer.max_time=00:00:00:01", "trainer.max_epochs=100000"], None),
    ],
)
def test_arguments_of_the_trainer(train: Train, words: list[str], steps: int | None) -> None:
    step = tensors(train(*words))["step"]
    assert step == steps or (steps is None and step > 1)


def test_one_batch_to_see_that_everything_runs(train: Train) -> None:
    run = train("debug=fast")
    assert not (run / "checkpoints").exists()
