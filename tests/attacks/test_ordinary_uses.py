"""Stop what people do, and continue it by the printed line."""

from __future__ import annotations

import os
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.training import MetricsCSV
from tests.attacks.conftest import TINY
from tests.conftest import Patch, write_files
from tests.small_runs import Capture, read_record, tensors

MODULE = """
import lightning as L

class Counts(L.Callback):
    def __init__(self, path, every=1):
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        with open(self.path, "a") as file:
            file.write(f"{trainer.global_step}\\n")
"""
FILES = {
    "my own/callbacks/mine.yaml": "defaults: [default]\n"
    "c: {_target_: own_counts.Counts, path: counted}\n",
    "my own/experiment/a.yaml": "# @package _global_\nseed: 5\n",
    "my own/experiment/b.yaml": "# @package _global_\n"
    "callbacks: {d: {_target_: own_counts.Counts, path: again}}\n",
}
USES = {
    "parts of one's own, two experiments, a schedule of torch's": [
        *("--config-dir", "my own", "callbacks=mine", "+callbacks.c.every=2", "experiment=[a,b]"),
        *("+optimizer.amsgrad=true", "+trainer.profiler=simple"),  # which conf/ lacks
        *("schedule=constant", "schedule._target_=torch.optim.lr_scheduler.StepLR"),
        *("~schedule.warmup_steps", "+schedule.step_size=3"),
    ],
    "quoted lists": [
        *("callbacks=['ema','early_stopping']", "~callbacks.progress"),
        *("""tags=['it is',"what's"]""", "+trainer.accumulate_grad_batches=4"),
    ],
}


@pytest.fixture
def place(workplace: Path, monkeypatch: Patch) -> Path:
    """Make a folder with YAML files and a module of a user."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    write_files(workplace, {"own_counts.py": MODULE, **FILES})
    monkeypatch.syspath_prepend(str(workplace))
    return workplace


LINE = (*TINY, "logger=csv", "print_every=1", "trainer.max_steps=6", "hydra.run.dir=run 1")


@pytest.mark.parametrize("use", USES)
def test_what_people_do_continues_by_the_printed_line(
    use: str, place: Path, monkeypatch: Patch, capfd: Capture
) -> None:
    write, stops = MetricsCSV.log_metrics, [2]

    def stop_once(self: Any, metrics: Any, step: Any = None) -> Any:
        if stops and step >= stops[0]:
            stops.clear()
            os.kill(os.getpid(), signal.SIGTERM)
        return write(self, metrics, step)

    monkeypatch.setattr(MetricsCSV, "log_metrics", stop_once)
    assert main(["train", *LINE, *USES[use]]) == 143
    before = read_record(place / "run 1")
    [told] = re.findall(r"to resume it: charrnn (train .*)$", capfd.readouterr().err, re.MULTILINE)
    if main(shlex.split(told)) == 2:  # The run has parts that conf/ lacks.
        pattern = r"repeat the command: charrnn (.*) \(or go on"
        [told] = re.findall(pattern, capfd.readouterr().err)
        assert main(shlex.split(told)) == 0
    assert read_record(place / "run 1") == before
    assert tensors(place / "run 1")["step"] == 6
    if use != "quoted lists":
        for name in ("counted", "again"):
            assert "6" in next(place.rglob(name)).read_text().split()
