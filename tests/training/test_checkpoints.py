"""From which checkpoint a run continues, the files of its best model, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from charrnn.__main__ import main
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import ENTRY
from tests.small_runs import Capture, Train, assert_same, metrics, tensors
from tests.tools import ABSENT, refusal_of, replace_at


@pytest.fixture
def run(run_copy: Train) -> Path:
    """Train 20 steps with kept checkpoints at 8 and 16; the best is of step 20 or before."""
    return run_copy("trainer.max_steps=20", "callbacks.checkpoints.keep_every=8")


def test_the_best_resumes_if_the_last_is_damaged(train: Train, run: Path, capfd: Capture) -> None:
    last = run / "checkpoints" / "last.ckpt"
    shutil.copy(last, run / "checkpoints" / "best.ckpt")
    last.write_bytes(last.read_bytes()[:-9])
    line = refusal_of(capfd, "train", f"resume={run}")
    assert f"{last}: not a charrnn checkpoint, or damaged" in line
    last.unlink()
    train(f"resume={run}", "trainer.max_steps=21", small=False)
    assert tensors(run)["step"] == 21


def files_of_the_best(folder: Path) -> tuple[int, int]:
    facts = model_file.read_facts(folder / "model.safetensors")
    return tensors(folder, "best.ckpt")["step"], facts["step"]


def test_a_model_file_that_is_lost_is_made_again(train: Train, run: Path, capfd: Capture) -> None:
    """Check that training continues as if no model was better: at such a rate it gets worse."""
    shutil.copy(run / "checkpoints" / "step-8.ckpt", run / "checkpoints" / "last.ckpt")
    loss, step = tensors(run)["best"]
    assert step < 8
    (run / "model.safetensors").unlink()
    train(f"resume={run}", "trainer.max_steps=16", "optimizer.lr=1", small=False)
    assert "model.safetensors of step 7 is not in this folder" in capfd.readouterr().err
    after = tensors(run)["best"]
    assert after[0] > loss
    assert files_of_the_best(run) == (after[1], after[1])


def test_a_checkpoint_continues_in_a_new_folder(train: Train, run: Path, capfd: Capture) -> None:
    """Check that it is the same run, and begins its best anew, although its network is worse."""
    words = [f"resume={run / 'checkpoints' / 'step-16.ckpt'}", "hydra.run.dir=same"]
    train(*words, small=False)
    assert_same(tensors(Path("same")), tensors(run))
    assert metrics(Path("same"))[0]["step"] == "20"
    words = [f"resume={run / 'checkpoints' / 'last.ckpt'}", "hydra.run.dir=new"]
    train(*words, "trainer.max_steps=21", "optimizer.lr=0.2", small=False)
    assert files_of_the_best(Path("new")) == (21, 21)
    assert tensors(Path("new"))["best"][0] > tensors(run)["best"][0]
    for held in (words, [f"resume={run}", "hydra.run.dir=new"]):
        refusal_of(capfd, "train", *held, "trainer.max_steps=30")


LOOPS = ("loops", "fit_loop")
RANK = (ENTRY, "ranks", 0)
# the place of an odd value, and the value
ODD: list[tuple[tuple[Any, ...], Any]] = [
    (("global_step",), None),
    ((*LOOPS, "epoch_progress", "total", "started"), "x"),
    (("lr_schedulers", 0, "_step_count"), "x"),
    (("optimizer_states", 0, "state", 0, "exp_avg"), torch.zeros(3)),
    ((ENTRY, "best_loss"), "x"),
    ((*RANK, "cpu"), torch.zeros(3, dtype=torch.uint8)),
    ((*RANK, "state", 0, 0), torch.zeros(3, 16)),
    ((ENTRY, "facts", "fingerprint"), "x"),
    ((ENTRY, "config"), ABSENT),
    ((ENTRY, "config", "trainer", "max_steps"), torch.zeros(3)),
]


def test_a_checkpoint_of_an_odd_run_is_refused_in_a_line(run_copy: Train, capfd: Capture) -> None:
    run_copy("trainer.max_steps=14", "callbacks.samples.length=0", "logger=none")
    content = checkpoint.read_run(Path("run/checkpoints/last.ckpt"))
    for rank in content[ENTRY]["ranks"]:
        rank["state"] = [list(layer) for layer in rank["state"]]

    def resume(changed: dict[str, Any]) -> tuple[int, str]:
        checkpoint.write(Path("x.ckpt"), changed)
        capfd.readouterr()
        code = main(["train", "resume=x.ckpt", "trainer.max_steps=16", "hydra.run.dir=new"])
        return code, capfd.readouterr().err

    for path, value in ODD:
        code, err = resume(replace_at(content, path, value))
        assert (code, "Traceback" in err) == (2, False), f"{path}: {err}"
        assert len(err.splitlines()[-1]) < 600, f"{path}: {err}"
        shutil.rmtree("new", ignore_errors=True)
    assert resume(content)[0] == 0
