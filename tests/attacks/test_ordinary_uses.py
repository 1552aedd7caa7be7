"""Stop what people do, and continue it by the printed line."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.training import MetricsCSV
from tests.attacks.conftest import TINY
from tests.conftest import write_files
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
    "callbacks/mine.yaml": "defaults: [default]\nc: {_target_: own_counts.Counts, path: counted}\n",
    "experiment/a.yaml": "# @package _global_\nseed: 5\n",
    "experiment/b.yaml": (
        "# @package _global_\ncallbacks:\n  d: {_target_: own_counts.Counts, path: again}\n"
    ),
}
USES = {
    "parts of one's own, two experiments, a schedule of torch's": [
        *("--config-dir", "my own", "callbacks=mine", "+callbacks.c.every=2", "experiment=[a,b]"),
        *("+optimizer.amsgrad=true", "+trainer.profiler=simple"),  # which conf/ lacks
        *("schedule=constant", "schedule._target_=torch.optim.lr_scheduler.StepLR"),
        *("~schedule.warmup_steps", "+schedule.step_size=3"),
    ],
    "quoted lists": [
        "callbacks=['ema','early_stopping']",
        "~callbacks.progress",
        """tags=['it is',"what's"]""",
        "+trainer.accumulate_grad_batches=4",
    ],
    "a budget": ["budget=1m", "trainer.max_epochs=null", "trainer.max_steps=-1"],
}

# by its record only, of any author
PLAIN = ("quoted lists", "a budget")


@pytest.fixture
def place(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with YAML files and a module of a user."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    write_files(workplace / "my own", FILES)
    write_files(workplace, {"own_counts.py": MODULE})
    monkeypatch.syspath_prepend(str(workplace))
    return workplace


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Send SIGTERM after a step, once."""

    def at(step: int) -> None:
        write, pending = MetricsCSV.log_metrics, [step]

        def log_metrics(self: Any, metrics: Any, step: Any = None) -> Any:
            if pending and step >= pending[0]:
                pending.clear()
                os.kill(os.getpid(), signal.SIGTERM)
            return write(self, metrics, step)

        monkeypatch.setattr(MetricsCSV, "log_metrics", log_metrics)

    return at


def read_resume_words(err: str) -> list[str]:
    """Return the words of the line that says how to resume."""
    found = re.search(r"to resume it: charrnn (train .*)$", err.strip(), re.M)
    assert found is not None, err
    return shlex.split(found[1])


LINE = (*TINY, "logger=csv", "print_every=1", "trainer.max_steps=6", "hydra.run.dir=run 1")


@pytest.mark.parametrize("use", USES)
def test_by_the_printed_line(
    use: str, place: Path, stop_at: Callable[[int], None], capfd: Capture
) -> None:
    stop_at(2)
    assert main(["train", *LINE, *USES[use]]) == 143
    before = read_record(place / "run 1")
    again = read_resume_words(capfd.readouterr().err)
    assert again[1] == "resume=run 1"
    assert again[2:] == ([] if use in PLAIN else ["trust=true"])
    assert main([*again, *["trainer.max_steps=6"] * ("budget" in use)]) == 0
    after = read_record(place / "run 1")
    assert after.pop("trust") == (use not in PLAIN)
    before.pop("trust")
    if "budget" in use:
        after["trainer"]["max_steps"] = before["trainer"]["max_steps"]
    assert after == before
    assert tensors(place / "run 1")["step"] >= 6
    if use not in PLAIN:
        for name in ("counted", "again"):
            assert "6" in next(place.rglob(name)).read_text().split()


def test_the_same_command_line_once_more(
    place: Path, stop_at: Callable[[int], None], capfd: Capture
) -> None:
    """Start a job again, as a scheduler does."""
    words = ["train", *LINE, "--config-dir", "my own", "experiment=[a,b]", "+callbacks.d.every=3",
             "schedule.decay_every=2", "resume=auto"]  # fmt: skip
    stop_at(2)
    assert main(words) == 143
    before = read_record(place / "run 1")
    assert main(words) == 0, capfd.readouterr().err
    assert tensors(place / "run 1")["step"] == 6
    assert read_record(place / "run 1") == before
    assert main(words) == 0
    assert "this run is finished" in capfd.readouterr().err


def test_a_refused_resume_leaves_the_run_as_it_was(place: Path) -> None:
    """Check that the record has no option that Lightning refuses: it would stop each resume."""
    assert main(["train", *LINE]) == 0
    before = read_record(place / "run 1")
    wrong = ["_target_=lightning.pytorch.callbacks.EarlyStopping", "monitor=nothing"]
    longer = ["train", "resume=run 1", "trainer.max_steps=9"]
    assert main([*longer, *(f"+callbacks.x.{word}" for word in wrong)]) == 2
    assert read_record(place / "run 1") == before
    assert main(longer) == 0
