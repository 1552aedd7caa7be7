"""What people do, each stopped and gone on with by the printed line alone."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.models import checkpoint
from charrnn.training import MetricsCSV
from tests.attacks.stranger import TINY

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
        "# @package _global_\ncallbacks:\n  c: {_target_: own_counts.Counts, path: counted}\n"
    ),
}
USES = {
    "a callback of one's own": ["--config-dir", "my own", "callbacks=mine", "+callbacks.c.every=2"],
    "two experiments": ["--config-dir", "my own", "experiment=[a,b]"],
    "a callback on the line": [
        "+callbacks.c._target_=own_counts.Counts",
        "+callbacks.c.path=counted",
    ],
    "a callback that writes elsewhere": [
        "+callbacks.c._target_=own_counts.Counts",
        "+callbacks.c.path='work place/../counted'",
    ],
    "accumulation": ["+trainer.accumulate_grad_batches=4"],
    "an argument of the optimizer": ["+optimizer.amsgrad=true"],
    "a profiler": ["+trainer.profiler=simple"],
    "no progress": ["~callbacks.progress"],
    "a schedule of torch's": [
        "schedule=constant",
        "schedule._target_=torch.optim.lr_scheduler.StepLR",
        "~schedule.warmup_steps",
        "+schedule.step_size=3",
    ],
    "a recipe": ["debug=overfit"],
    "a text by its address": ["data.input_txt=null", "data.corpus=null"],
    "a budget": ["budget=1m", "trainer.max_epochs=null", "trainer.max_steps=null"],
}


@pytest.fixture
def place(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with YAML files and a module of one's own."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    for name, content in FILES.items():
        path = workplace / "my own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (workplace / "work place").mkdir()
    (workplace / "own_counts.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(workplace))
    return workplace


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let SIGTERM come after a step, once."""

    def at(step: int) -> None:
        write, pending = MetricsCSV.log_metrics, [step]

        def log_metrics(self: Any, metrics: Any, step: Any = None) -> Any:
            if pending and step >= pending[0]:
                pending.clear()
                os.kill(os.getpid(), signal.SIGTERM)
            return write(self, metrics, step)

        monkeypatch.setattr(MetricsCSV, "log_metrics", log_metrics)

    return at


def printed(err: str, what: str = "from") -> list[str]:
    """The words that a line says go on: with a run from its checkpoint, or with a sweep."""
    found = re.search(rf"charrnn (train resume=.*) goes on {what} it$", err.strip(), re.M)
    assert found is not None, err
    return shlex.split(found[1])


def config_of(run: Path) -> Any:
    return yaml.safe_load((run / ".hydra" / "config.yaml").read_text("utf-8"))


def step_of(run: Path) -> int:
    return int(checkpoint.read(run / "checkpoints" / "last.ckpt")["global_step"])


LINE = (*TINY, "logger=csv", "print_every=1", "trainer.max_steps=6", "hydra.run.dir=run 1")


@pytest.mark.parametrize("use", USES)
def test_by_the_printed_line(
    use: str,
    place: Path,
    stop_at: Callable[[int], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = list(USES[use])
    if "address" in use:
        digest = __import__("hashlib").sha256(Path("corpus.txt").read_bytes()).hexdigest()
        words += [f"data.url={(place / 'corpus.txt').as_uri()}", f"data.sha256={digest}"]
    stop_at(2)
    assert main(["train", *LINE, *words]) == 143
    before = config_of(place / "run 1")
    err = capfd.readouterr().err
    again = printed(err)
    # on another machine, where the text has to be fetched once more
    if "address" in use:
        Path("cache").rename("elsewhere")
    if "budget" in use:
        again.append("trainer.max_steps=6")
    assert main(again) == 0, capfd.readouterr().err
    after = config_of(place / "run 1")
    if "budget" in use:
        after["trainer"]["max_steps"] = before["trainer"]["max_steps"]
    assert after == before
    assert step_of(place / "run 1") >= 6
    if "callback" in use or "experiments" in use:
        assert "6" in next(place.rglob("counted")).read_text().split()


def test_weights_and_biases(
    place: Path, stop_at: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    stop_at(2)
    words = ["logger=wandb", "logger.wandb.project=mine", "logger.wandb.offline=true"]
    assert main(["train", *LINE, *words]) == 143
    before = config_of(place / "run 1")
    again = printed(capfd.readouterr().err)
    assert again[-1] == "logger=wandb"
    assert main(again) == 0, capfd.readouterr().err
    assert config_of(place / "run 1") == before
    assert before["logger"]["wandb"]["project"] == "mine"


def test_a_checkpoint_alone(place: Path) -> None:
    words = ["--config-dir", "my own", "callbacks=mine"]
    assert main(["train", *LINE, *words, "trainer.max_steps=3"]) == 0
    resume = ["resume=run 1/checkpoints/last.ckpt", "--config-dir", "my own"]
    assert main(["train", *resume, "hydra.run.dir=second", "trainer.max_steps=5"]) == 0
    assert step_of(place / "second") == 5
    # its record is whole, too
    assert main(["train", "resume=second", "--config-dir", "my own", "trainer.max_steps=6"]) == 0


def test_the_same_command_line_once_more(
    place: Path, stop_at: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """As a scheduler starts a job again."""
    words = ["train", *LINE, "--config-dir", "my own", "experiment=[a,b]", "+callbacks.c.every=3",
             "schedule.decay_every=2", "resume=auto"]  # fmt: skip
    stop_at(2)
    assert main(words) == 143
    before = config_of(place / "run 1")
    assert main(words) == 0, capfd.readouterr().err
    assert step_of(place / "run 1") == 6
    assert config_of(place / "run 1") == before
    assert main(words) == 0
    assert "this run is finished" in capfd.readouterr().err


def test_a_sweep(
    place: Path, stop_at: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", *LINE, "--config-dir", "my own", "callbacks=mine", "model=lstm,gru"]
    stop_at(2)
    assert main(["train", *words, "hydra.sweep.dir=a sweep"]) == 143
    again = printed(capfd.readouterr().err, "with")
    assert main(again) == 0, capfd.readouterr().err
    runs = sorted((place / "a sweep").glob("[0-9]_*"))
    assert [run.name for run in runs] == ["0_model=lstm", "1_model=gru"]
    assert [step_of(run) for run in runs] == [6, 6]
    assert [config_of(run)["model"]["kind"] for run in runs] == ["lstm", "gru"]
    assert [set(config_of(run)["callbacks"]) for run in runs] == [
        {"progress", "samples", "checkpoints", "overfitting", "counts", "c"}
    ] * 2


@pytest.mark.slow
def test_a_study_made_longer(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("charrnn.extras.search")
    pytest.importorskip("optuna")
    space = ["optimizer.lr=tag(log,interval(1e-3,1e-2))", "model=lstm,gru", "sweep=tpe"]
    words = ["-m", *LINE, *space, "trainer.max_steps=2"]
    more = "hydra.sweeper.n_trials=3"
    assert main(["train", *words, "hydra.sweep.dir=whole", more]) == 0
    assert main(["train", *words, "hydra.sweep.dir=part", "hydra.sweeper.n_trials=1"]) == 0
    assert main(["train", "resume=part", more]) == 0, capfd.readouterr().err
    whole, part = (sorted((place / name).glob("[0-9]_*")) for name in ("whole", "part"))
    assert [run.name for run in whole] == [run.name for run in part]
    assert len(part) == 3
    for one, other in zip(whole, part, strict=True):
        assert config_of(one) == config_of(other)
    board, other = (place / name / "leaderboard.csv" for name in ("whole", "part"))
    assert board.read_text().splitlines()[0] == other.read_text().splitlines()[0]
