"""What is refused changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests import REPOSITORY
from tests.small_runs import SMALL, Train, skip_without_bf16


def content(folder: Path) -> dict[str, bytes]:
    # the lock names the process that holds or held it
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_sweep_over_runs_that_stand(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    train("trainer.max_steps=5", folder="sweep/0")
    before = content(Path("sweep/0"))
    words = ["-m", "hydra.sweep.dir=sweep", "optimizer.lr=1e-3,9e-2", "model.dropout=0.4"]
    assert main(["train", *SMALL, *words, "trainer.max_steps=3"]) == 2
    assert "hydra.sweep.dir=sweep: holds runs already; with resume=auto" in capfd.readouterr().err
    assert content(Path("sweep/0")) == before
    assert [path.name for path in Path("sweep").iterdir()] == ["0"]


def test_a_folder_named_in_an_experiment(train: Train, workplace: Path) -> None:
    folder = workplace / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "fixed.yaml").write_text(
        "# @package _global_\nhydra:\n  run:\n    dir: fixed\n", encoding="utf-8"
    )
    words = ["train", *SMALL, "--config-dir", "mine", "experiment=fixed", "trainer.max_steps=5"]
    assert main(words) == 0
    before = content(Path("fixed"))
    assert main([*words, "optimizer.lr=0.5", "trainer.max_steps=20"]) == 2
    assert content(Path("fixed")) == before


@pytest.mark.slow
def test_bf16_without_avx512(train: Train, workplace: Path) -> None:
    """A CPU with AVX2 only trains no LSTM in bf16: one line, at a resume too."""
    skip_without_bf16("bf16-mixed")
    run = train("trainer.precision=bf16-mixed", "trainer.max_steps=5")
    before = content(run)
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "ONEDNN_MAX_CPU_ISA": "AVX2"}
    for words in (["resume=run", "trainer.max_steps=9"], [*SMALL, "trainer.precision=bf16-mixed"]):
        command = [sys.executable, "-m", "charrnn", "train", *words]
        ended = subprocess.run(command, cwd=workplace, env=env, capture_output=True, text=True)
        assert ended.returncode == 2
        assert ended.stdout == ""
        *lines, last = ended.stderr.splitlines()
        assert lines == [], ended.stderr
        assert last.startswith("charrnn train: trainer.precision=bf16-mixed: this CPU cannot")
    assert content(run) == before
    words = [*SMALL, "trainer.precision=auto", "trainer.max_steps=3", "hydra.run.dir=auto"]
    command = [sys.executable, "-m", "charrnn", "train", *words, "data.batch_size=20"]
    ended = subprocess.run(command, cwd=workplace, env=env, capture_output=True, text=True)
    assert "precision 32-true" in ended.stderr
