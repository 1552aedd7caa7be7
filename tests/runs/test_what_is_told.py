"""The report of a run: one loss everywhere, and what loggers of other people get."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.models import model_file
from tests.conftest import Patch
from tests.faults import child
from tests.small_runs import SMALL, Capture, Train, tensors


def test_the_loss_of_a_model_is_one_number(train: Train, workplace: Path, capfd: Capture) -> None:
    """Check the loss as written: at the end of the training, in its files and its report."""
    run = train("trainer.max_steps=40", "callbacks.samples.length=60", folder="outputs/train/a/b")
    said = capfd.readouterr().err
    facts = model_file.read_facts(run / "model.safetensors")
    loss = facts["val_loss_as_written"]
    assert loss < facts["val_loss"]
    losses = f"network {facts['val_loss']:.4f}, counts {facts['counts_loss']:.4f}, both {loss:.4f}"
    first, *lines = said.splitlines()[-3:]
    assert first.startswith(f"best model, of step {facts['step']}: {losses}; trained in 0:0")
    assert lines == [
        "run folder: outputs/train/a/b, with report.html",
        "sample from it: charrnn sample checkpoint=outputs/train/a/b",
    ]
    assert model_file.load(run / "model.safetensors").loss == loss
    assert f"<b>{loss:.4f}</b> nats per character" in (run / "report.html").read_text()

    result = charrnn.train(f"resume={run}")  # which is finished
    assert (result.loss, result.network_loss) == (loss, facts["val_loss"])
    assert result.step == facts["step"]

    # a sample of the training is what the model writes
    step = facts["step"]
    sample = (run / "samples" / f"step-{step:07d}.txt").read_text(encoding="utf-8")
    assert sample == charrnn.load(run).generate(length=60, temperature=0.8, seed=step)


def test_a_network_beyond_the_memory_is_refused_in_a_line(workplace: Path, capfd: Capture) -> None:
    words = ("train", *SMALL, "model.hidden_size=100000000", "hydra.run.dir=run")
    assert main([*words]) == 1
    assert "there is too little memory" in capfd.readouterr().err.splitlines()[-1]
    assert not Path("run").exists()


def test_of_two_runs_begun_at_once_in_one_folder_one_lives(workplace: Path) -> None:
    words = ["train", *SMALL, "trainer.max_steps=20", "hydra.run.dir=run"]
    with ThreadPoolExecutor() as both:
        ends = both.map(lambda words: child.run(words, workplace, code=None), [words] * 2)
    said = (workplace / "log.txt").read_text("utf-8")
    assert sorted(ends) == [0, 2], said
    assert re.search(r"^charrnn train: .*(?:trains in it|holds a run already)", said, re.M)
    assert tensors(workplace / "run")["step"] == 20
    assert (workplace / "run" / "model.safetensors").is_file()


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_a_tracker_gets_losses_and_options(
    tracker: str, train: Train, workplace: Path, monkeypatch: Patch
) -> None:
    package = pytest.importorskip(tracker)
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = train(f"logger={tracker}", "trainer.max_steps=8")
    if tracker == "wandb":
        package.teardown()  # its service
    written = [*run.glob("wandb/offline-run-*/*.wandb"), *workplace.glob("mlflow.db")]
    content = b"".join(path.read_bytes() for path in written)
    for name in (b"val/loss", b"hidden_size"):
        assert name in content
