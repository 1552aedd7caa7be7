"""Training in bf16 learns as in float32, and is refused where the CPU cannot do it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.networks.precision import cpu_has_bf16
from tests import REPOSITORY
from tests.small_runs import SMALL, Train, metrics, skip_without_bf16

STEPS = 3 * 356  # three epochs of the default recipe


@pytest.mark.slow
def test_bf16_reaches_the_validation_loss_of_float32(train: Train, workplace: Path) -> None:
    if not cpu_has_bf16():
        pytest.skip("this CPU has no bf16 of its own, and emulating it takes very long")
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        run = train(
            *("trainer=cpu", f"trainer.precision={precision}"),
            *("data=shakespeare", f"trainer.max_steps={STEPS}"),
            folder=precision,
            small=False,
        )
        losses[precision] = float(metrics(run)[-1]["val/loss"])
    assert losses["32-true"] < 1.75, "it learned nothing much"
    assert abs(losses["bf16-mixed"] - losses["32-true"]) <= 0.01


def content(folder: Path) -> dict[str, bytes]:
    # the lock names the process that holds or held it
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


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
