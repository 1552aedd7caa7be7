"""From which checkpoint a run continues, and the files of its best model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.models import model_file
from tests.small_runs import Capture, Train, assert_same, tensors


@pytest.fixture
def run(run_copy: Train) -> Path:
    """Train 20 steps with kept checkpoints at 8 and 16; the best is of step 20 or before."""
    return run_copy("trainer.max_steps=20", "callbacks.checkpoints.keep_every=8")


def test_the_best_resumes_if_the_last_is_damaged(train: Train, run: Path, capfd: Capture) -> None:
    last = run / "checkpoints" / "last.ckpt"
    shutil.copy(last, run / "checkpoints" / "best.ckpt")
    last.write_bytes(last.read_bytes()[:-9])
    assert main(["train", f"resume={run}"]) == 2
    assert f"{last}: not a charrnn checkpoint, or damaged" in capfd.readouterr().err
    last.unlink()
    train(f"resume={run}", "trainer.max_steps=21", small=False)
    assert tensors(run)["step"] == 21


def best_of(folder: Path) -> tuple[float, int]:
    loss, step = tensors(folder)["best"]
    return loss, step


def files_of_the_best(folder: Path) -> tuple[int, int]:
    facts = model_file.load(folder / "model.safetensors").facts
    return tensors(folder, "best.ckpt")["step"], facts["step"]


def test_a_model_file_that_is_lost_is_made_again(train: Train, run: Path, capfd: Capture) -> None:
    """Check that training continues as if no model was better: at such a rate it gets worse."""
    shutil.copy(run / "checkpoints" / "step-8.ckpt", run / "checkpoints" / "last.ckpt")
    loss, step = best_of(run)
    assert step < 8
    shutil.copy(run / "checkpoints" / "step-8.ckpt", run / "checkpoints" / "best.ckpt")
    (run / "model.safetensors").unlink()
    train(f"resume={run}", "trainer.max_steps=16", "optimizer.lr=1", small=False)
    assert "the best model so far, of step 7, is lost" in capfd.readouterr().err
    after = best_of(run)
    assert after[0] > loss
    assert files_of_the_best(run) == (after[1], after[1])
    (run / "model.safetensors").unlink()
    train(f"resume={run}", "trainer.max_steps=17", "optimizer.lr=1", small=False)
    assert files_of_the_best(run) == (after[1], after[1])


def test_a_new_folder_gets_the_best_from_beside_the_checkpoint(train: Train, run: Path) -> None:
    best = best_of(run)
    words = [f"resume={run / 'checkpoints' / 'last.ckpt'}", "hydra.run.dir=new"]
    # at such a rate it gets worse
    train(*words, "trainer.max_steps=22", "optimizer.lr=0.2", small=False)
    new = Path("new")
    assert files_of_the_best(new) == (best[1], best[1])
    assert best_of(new) == best
    assert_same(tensors(new, "best.ckpt"), tensors(run, "best.ckpt"))
    for held in (words, [f"resume={run}", "hydra.run.dir=new"]):
        assert main(["train", *held, "trainer.max_steps=30"]) == 2
