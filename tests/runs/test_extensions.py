"""What is added from outside: YAML files of one's own, a module, arguments of the Trainer."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

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


def test_a_callback_a_logger_and_an_optimizer_of_ones_own(own: Path, train: Train) -> None:
    whole = train(*CHOSEN, "trainer.max_steps=20", folder="whole")
    (own / "counted").unlink()
    part = train(*CHOSEN, "trainer.max_steps=13", folder="part")
    words = ["train", "resume=part", "trust=true", "trainer.max_steps=20"]
    assert main(words) == 0
    assert_same(tensors(part)["weights"], tensors(whole)["weights"])
    assert_same(tensors(part)["optimizer"], tensors(whole)["optimizer"])
    assert (own / "counted").read_text().split() == [str(step) for step in range(1, 21)]
    assert tensors(part)["optimizer"][0]["param_groups"][0]["momentum"] == 0.5
    [written] = (own / "whole").glob("own/version_*/metrics.csv")
    with open(written, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert any(row["val/loss"] for row in rows)


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


@pytest.mark.parametrize("where", ["data.encoding", "optimizer.lr", "trainer.accelerator", "seed"])
def test_nothing_is_looked_up_in_a_strangers_run(
    own: Path,
    trained: Train,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    run = trained("trainer.max_steps=5")
    path = run / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    node = config
    *parents, last = where.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = "http://127.0.0.1:1/${oc.env:SECRET}"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    capfd.readouterr()
    assert main(["train", f"resume={run}", "trainer.max_steps=9"]) == 2
    said = capfd.readouterr().err
    assert "hunter2" not in said
    assert f"{where}=http://127.0.0.1:1/${{oc.env:SECRET}}" in said


def test_what_was_looked_up_is_recorded(
    workplace: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LR", "0.5")
    whole = train("optimizer.lr=${oc.env:LR}", "trainer.max_steps=12", folder="whole")
    part = train("optimizer.lr=${oc.env:LR}", "trainer.max_steps=6", folder="part")
    monkeypatch.setenv("LR", "0.25")
    train("resume=part", "trainer.max_steps=12", small=False)
    assert_same(tensors(part)["weights"], tensors(whole)["weights"])
    config = yaml.safe_load((part / ".hydra" / "config.yaml").read_text(encoding="utf-8"))
    assert config["optimizer"]["lr"] == 0.5


WRONG = {
    "+callbacks.own._target_=own_counts.Count": "no Count in own_counts; did you mean Counts?",
    "+callbacks.own._target_=own_count.Counts": "there is no module own_count",
    "optimizer._target_=torch.optim.Mon": "no Mon in torch.optim; did you mean Muon?",
    "+optimizer.momentun=0.9": "torch.optim.SGD takes no momentun; did you mean momentum?",
    "+logger.own.flash_logs_every_n_steps=3": "takes no flash_logs_every_n_steps; did you mean",
    "+trainer.accumulate_grad_batch=2": "did you mean accumulate_grad_batches?",
    "+trainer.log_every_n_steps=5": "print_every",
}


@pytest.mark.parametrize("word", WRONG)
def test_what_cannot_be_built_is_refused_in_a_line(
    own: Path, word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", *SMALL, *CHOSEN, word, "hydra.run.dir=run"]
    assert main(words) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert WRONG[word] in line
    assert not (own / "run").exists()


def test_an_argument_of_the_wrong_kind(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It can only be seen when it is built; still a line, and nothing is left."""
    assert main(["train", *SMALL, *CHOSEN, "optimizer.momentum=-3", "hydra.run.dir=run"]) == 2
    assert "momentum" in capfd.readouterr().err.splitlines()[-1]
    assert main(["train", *SMALL, "+trainer.profiler=nonsense", "hydra.run.dir=run"]) == 2
    assert "profiler" in capfd.readouterr().err.splitlines()[-1]


def test_arguments_of_the_trainer(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    train("+trainer.profiler=simple", "trainer.max_steps=5", folder="profiled")
    capfd.readouterr()
    run = train("+trainer.max_time=00:00:00:01", "trainer.max_epochs=100000", folder="timed")
    assert tensors(run)["step"] > 1
    run = train("+trainer.limit_train_batches=3", "trainer.max_epochs=4", folder="limited")
    assert tensors(run)["step"] == 12


def test_accumulated_gradients_resume_to_the_bit(train: Train) -> None:
    words = ["+trainer.accumulate_grad_batches=3", "model.dropout=0.2", "trainer.max_epochs=2"]
    whole = train(*words, folder="whole")
    assert tensors(whole)["step"] == 2 * (20 // 3)
    for stop in (1, 6, 7):
        part = train(*words, f"trainer.max_steps={stop}", folder=f"part-{stop}")
        train(f"resume={part}", "trainer.max_steps=null", "+trainer.accumulate_grad_batches=3",
              small=False)  # fmt: skip
        for kind in ("weights", "optimizer", "ranks"):
            assert_same(tensors(part)[kind], tensors(whole)[kind], f"{stop} {kind}")


def test_one_batch_to_see_that_everything_runs(train: Train, workplace: Path) -> None:
    run = train("debug=fast")
    assert not (run / "checkpoints").exists()


def test_from_python(workplace: Path) -> None:
    import charrnn

    result = charrnn.train(*SMALL, "model=gru", "trainer.max_steps=8", "hydra.run.dir=run")
    assert result is not None
    assert result.folder == workplace / "run"
    assert result.step in (7, 8)
    assert result.best_loss == pytest.approx(
        min(float(row["val/loss"]) for row in _rows(workplace / "run") if row["val/loss"])
    )
    with pytest.raises(charrnn.errors.InputError, match=r"^model.hidden_size=0: must be"):
        charrnn.train("model.hidden_size=0")


def _rows(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
