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
from tests.models.test_checkpoint import Content, endless
from tests.small_runs import Capture, Train, tensors
from tests.tools import ABSENT, replace_at


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


def files_of_the_best(folder: Path) -> tuple[int, int]:
    facts = model_file.load(folder / "model.safetensors").facts
    return tensors(folder, "best.ckpt")["step"], facts["step"]


def test_a_model_file_that_is_lost_is_made_again(train: Train, run: Path, capfd: Capture) -> None:
    """Check that training continues as if no model was better: at such a rate it gets worse."""
    shutil.copy(run / "checkpoints" / "step-8.ckpt", run / "checkpoints" / "last.ckpt")
    loss, step = tensors(run)["best"]
    assert step < 8
    shutil.copy(run / "checkpoints" / "step-8.ckpt", run / "checkpoints" / "best.ckpt")
    (run / "model.safetensors").unlink()
    train(f"resume={run}", "trainer.max_steps=16", "optimizer.lr=1", small=False)
    assert "model.safetensors of step 7 is not in this folder" in capfd.readouterr().err
    after = tensors(run)["best"]
    assert after[0] > loss
    assert files_of_the_best(run) == (after[1], after[1])


def test_a_new_folder_begins_its_best_anew(train: Train, run: Path) -> None:
    """Check that the first validation writes a model, although its network is worse."""
    best = tensors(run)["best"]
    words = [f"resume={run / 'checkpoints' / 'last.ckpt'}", "hydra.run.dir=new"]
    train(*words, "trainer.max_steps=21", "optimizer.lr=0.2", small=False)
    new = Path("new")
    assert files_of_the_best(new) == (21, 21)
    assert tensors(new)["best"][0] > best[0]
    for held in (words, [f"resume={run}", "hydra.run.dir=new"]):
        assert main(["train", *held, "trainer.max_steps=30"]) == 2


LOOPS = ("loops", "fit_loop")
RANK = (ENTRY, "ranks", 0)
STATE = ("optimizer_states", 0, "state", 0)
# the place of an odd value, and the value
ODD: list[tuple[tuple[Any, ...], Any]] = [
    (("global_step",), None),
    (("loops",), None),
    ((*LOOPS, "epoch_progress"), {}),
    ((*LOOPS, "epoch_progress", "total", "started"), "x"),
    ((*LOOPS, "epoch_loop.scheduler_progress", "total", "completed"), "x"),
    (("lr_schedulers", 0, "_step_count"), "x"),
    (("optimizer_states",), [{}]),
    ((*STATE, "exp_avg"), torch.zeros(3)),
    ((ENTRY, "best_loss"), "x"),
    ((ENTRY, "ranks"), [{}]),
    ((*RANK, "cpu"), torch.zeros(3, dtype=torch.uint8)),
    ((*RANK, "state"), [[torch.zeros(4, 16)]]),
    ((*RANK, "state", 0, 0), torch.zeros(3, 16)),
    ((ENTRY, "facts", "fingerprint"), "x"),
    ((ENTRY, "facts"), "x"),
    ((ENTRY, "finished"), "x"),
    ((ENTRY, "config"), ABSENT),
    ((ENTRY, "config"), {"data": endless()}),
    ((ENTRY, "config", "trainer", "max_steps"), torch.zeros(3)),
    ((ENTRY, "config", "callbacks"), "x"),
    ((ENTRY, "config", "optimizer", "lr"), "x"),
    ((ENTRY, "config", "seed"), ["x"]),
]


def test_a_checkpoint_of_an_odd_run_is_refused_in_a_line(run_copy: Train, capfd: Capture) -> None:
    run_copy("trainer.max_steps=14", "callbacks.samples.length=0", "logger=none")
    content = checkpoint.read_run(Path("run/checkpoints/last.ckpt"))
    for rank in content[ENTRY]["ranks"]:
        rank["state"] = [list(layer) for layer in rank["state"]]

    def resume(changed: Content) -> tuple[int, str]:
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
