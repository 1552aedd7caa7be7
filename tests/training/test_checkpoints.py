"""Which checkpoint a run goes on from, and the files of its best model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charrnn.errors import InputError
from charrnn.models import checkpoint, model_file
from charrnn.runs.newest_checkpoint import newest_usable, restore_best
from charrnn.training.divergence import Best
from tests.small_runs import Train, assert_same, tensors


@pytest.fixture
def run(trained: Train) -> Path:
    """20 steps with kept checkpoints at 8 and 16; the best is of step 20 or before."""
    return trained("trainer.max_steps=20", "callbacks.checkpoints.keep_every=8")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damaged", "of_best", "found", "step"),
    [
        ((), "last.ckpt", "last.ckpt", 20),
        (("last.ckpt",), "step-8.ckpt", "step-16.ckpt", 16),
        (("last.ckpt",), "last.ckpt", "best.ckpt", 20),
        (("last.ckpt", "best.ckpt", "step-16.ckpt", "step-8.ckpt"), "last.ckpt", None, None),
    ],
)
def test_the_newest_that_is_whole_and_the_others_are_set_aside(
    run: Path,
    capfd: pytest.CaptureFixture[str],
    damaged: tuple[str, ...],
    of_best: str,
    found: str | None,
    step: int | None,
) -> None:
    checkpoints = run / "checkpoints"
    shutil.copy(checkpoints / of_best, checkpoints / "best.ckpt")
    for name in damaged:
        damage(checkpoints / name)
    capfd.readouterr()
    path, content = newest_usable(run)
    assert path == (checkpoints / found if found else None)
    assert (content["global_step"] if content else None) == step
    assert capfd.readouterr().err.count(".damaged") == len(damaged)
    for name in damaged:
        assert not (checkpoints / name).exists()
        assert (checkpoints / f"{name}.damaged").exists()


def test_what_another_version_wrote_is_refused_and_left(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 0)
    with pytest.raises(InputError, match="of version 1, and this charrnn reads 0"):
        newest_usable(run)
    assert not list(run.rglob("*.damaged"))


# -- the best --------------------------------------------------------------------------


def best_of(folder: Path) -> Best:
    return Best(**tensors(folder)["best"])


def files_of_the_best(folder: Path) -> tuple[int, int]:
    """The steps of best.ckpt and of the model file."""
    facts = model_file.load(folder / "model.safetensors").facts
    return tensors(folder, "best.ckpt")["step"], facts["step"]


def test_a_damaged_model_file_is_made_again(run: Path) -> None:
    before = model_file.load(run / "model.safetensors").weights
    damage(run / "model.safetensors")
    best = best_of(run)
    assert restore_best(run, best, run / "checkpoints" / "last.ckpt")
    assert (run / "model.safetensors.damaged").exists()
    after = model_file.load(run / "model.safetensors").weights
    assert all((after[name] == before[name]).all() for name in before)
    assert files_of_the_best(run) == (best.step, best.step)
    damage(run / "checkpoints" / "best.ckpt")
    best.step = 7  # of which no file is left
    assert not restore_best(run, best, run / "checkpoints" / "last.ckpt")


def test_the_next_one_counts_when_the_best_is_lost(
    train: Train, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And training goes on as if none had been better: at such a rate it only gets worse."""
    damage(run / "checkpoints" / "best.ckpt")
    damage(run / "model.safetensors")
    last = run / "checkpoints" / "last.ckpt"
    shutil.copy(run / "checkpoints" / "step-8.ckpt", last)
    before = best_of(run)
    assert before.step < 8
    train(f"resume={run}", "trainer.max_steps=16", "optimizer.lr=1", small=False)
    assert "the best model so far, of step 7, is lost" in capfd.readouterr().err
    after = best_of(run)
    assert after.loss > before.loss
    assert files_of_the_best(run) == (after.step, after.step)


def test_a_new_folder_gets_the_best_from_beside_the_checkpoint(
    train: Train, run: Path, workplace: Path
) -> None:
    best = best_of(run)
    words = [f"resume={run / 'checkpoints' / 'last.ckpt'}", "hydra.run.dir=new"]
    # at such a rate it gets worse, and is no divergence yet
    train(*words, "trainer.max_steps=22", "optimizer.lr=0.2", small=False)
    new = workplace / "new"
    assert files_of_the_best(new) == (best.step, best.step)
    assert (best_of(new).loss, best_of(new).step) == (best.loss, best.step)
    assert_same(tensors(new, "best.ckpt"), tensors(run, "best.ckpt"))
