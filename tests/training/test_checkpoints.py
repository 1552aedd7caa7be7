"""Which checkpoint a run goes on from, and the files of its best model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charrnn.errors import InputError
from charrnn.models import checkpoint, model_file
from charrnn.training.checkpoints import Best, newest_usable, restore_best
from tests.training.conftest import Train, assert_same, tensors


@pytest.fixture
def run(train: Train) -> Path:
    """20 steps with kept checkpoints at 8 and 16; the best is of step 20 or before."""
    return train("trainer.max_steps=20", "callbacks.checkpoints.keep_every=8")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def test_last_is_the_one(run: Path) -> None:
    usable = newest_usable(run)
    assert usable.path == run / "checkpoints" / "last.ckpt"
    assert usable.notes == []


@pytest.mark.parametrize("best_step", [8, 20])
def test_of_the_others_the_newest(run: Path, best_step: int) -> None:
    checkpoints = run / "checkpoints"
    source = checkpoints / ("step-8.ckpt" if best_step == 8 else "last.ckpt")
    shutil.copy(source, checkpoints / "best.ckpt")
    damage(checkpoints / "last.ckpt")
    usable = newest_usable(run)
    expected = "step-16.ckpt" if best_step == 8 else "best.ckpt"
    assert usable.path == checkpoints / expected
    assert [note.endswith("it is set aside as last.ckpt.damaged") for note in usable.notes] == [
        True
    ]
    assert not (checkpoints / "last.ckpt").exists()
    assert (checkpoints / "last.ckpt.damaged").exists()


def test_older_damaged_ones_stay_aside(run: Path) -> None:
    checkpoints = run / "checkpoints"
    for _ in range(3):
        shutil.copy(checkpoints / "step-8.ckpt", checkpoints / "last.ckpt")
        damage(checkpoints / "last.ckpt")
        newest_usable(run)
    names = {path.name for path in checkpoints.glob("*.damaged*")}
    assert names == {"last.ckpt.damaged", "last.ckpt.damaged-2", "last.ckpt.damaged-3"}


def test_nothing_whole(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.ckpt"):
        path.write_bytes(b"")
    usable = newest_usable(run)
    assert usable.path is None
    assert len(usable.notes) == 4


def test_what_another_version_wrote_is_refused_and_left(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 0)
    with pytest.raises(InputError, match="update charrnn"):
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
    notes = restore_best(run, best, run / "checkpoints" / "last.ckpt")
    (note,) = notes
    assert note.endswith("it is set aside as model.safetensors.damaged")
    after = model_file.load(run / "model.safetensors").weights
    assert all((after[name] == before[name]).all() for name in before)
    assert files_of_the_best(run) == (best.step, best.step)


def test_a_lost_best_is_forgotten(run: Path) -> None:
    damage(run / "checkpoints" / "best.ckpt")
    best = best_of(run)
    best.step = 7  # of which no file is left
    notes = restore_best(run, best, run / "checkpoints" / "last.ckpt")
    assert [n.rpartition(" ")[2] for n in notes] == ["best.ckpt.damaged", "counts"]
    assert (best.loss, best.step) == (float("inf"), 0)


def test_a_new_folder_gets_the_best_from_beside_the_checkpoint(
    train: Train, run: Path, workplace: Path
) -> None:
    best = best_of(run)
    words = [f"resume={run / 'checkpoints' / 'last.ckpt'}", "hydra.run.dir=new"]
    # at such a rate it only gets worse
    train(*words, "trainer.max_steps=22", "optimizer.lr=1", small=False)
    new = workplace / "new"
    assert files_of_the_best(new) == (best.step, best.step)
    assert (best_of(new).loss, best_of(new).step) == (best.loss, best.step)
    assert_same(tensors(new, "best.ckpt"), tensors(run, "best.ckpt"))


def test_early_stopping_counts_on_when_the_best_is_lost() -> None:
    best = Best()
    assert best.update(2.0, 1, 0.0)
    assert not best.update(2.5, 2, 0.0)
    best.forget()
    assert best.update(2.4, 3, 0.0)
    assert (best.step, best.waited) == (3, 2)
