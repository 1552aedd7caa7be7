"""Which checkpoint a run goes on from, and the files of its best model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charrnn.errors import InputError
from charrnn.models import checkpoint, model_file
from charrnn.runs.newest_checkpoint import newest_usable
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


def best_of(folder: Path) -> tuple[float, int]:
    """Loss and step, as the last checkpoint has them."""
    loss, step = tensors(folder)["best"]
    return loss, step


def files_of_the_best(folder: Path) -> tuple[int, int]:
    """The steps of best.ckpt and of the model file."""
    facts = model_file.load(folder / "model.safetensors").facts
    return tensors(folder, "best.ckpt")["step"], facts["step"]


def test_a_model_file_that_is_gone_is_made_again_or_the_next_one_counts(
    train: Train, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And training goes on as if none had been better: at such a rate it only gets worse."""
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


def test_a_new_folder_gets_the_best_from_beside_the_checkpoint(
    train: Train, run: Path, workplace: Path
) -> None:
    best = best_of(run)
    words = [f"resume={run / 'checkpoints' / 'last.ckpt'}", "hydra.run.dir=new"]
    # at such a rate it gets worse
    train(*words, "trainer.max_steps=22", "optimizer.lr=0.2", small=False)
    new = workplace / "new"
    assert files_of_the_best(new) == (best[1], best[1])
    assert best_of(new) == best
    assert_same(tensors(new, "best.ckpt"), tensors(run, "best.ckpt"))
