"""Checkpoints that are whole and hold something odd: a line that names the file, or a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from charrnn.__main__ import main
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.models.test_checkpoint import Content, endless
from tests.refusals import ABSENT, replace_at
from tests.small_runs import Capture, Train

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
    (("optimizer_states",), [{"state": {}}]),
    ((*STATE, "exp_avg"), torch.zeros(3)),
    ((ENTRY, "best_loss"), "x"),
    ((ENTRY, "ranks"), [{}]),
    ((*RANK, "cpu"), torch.zeros(3, dtype=torch.uint8)),
    ((*RANK, "state"), [[torch.zeros(4, 16)]]),
    ((*RANK, "state", 0, 0), torch.zeros(3, 16)),
    ((ENTRY, "batch_size"), 5),
    ((ENTRY, "fingerprint"), "x"),
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
