"""The same seed gives the same run, in processes that share nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.runs.hardware import cpu_runs_bf16
from tests.faults.runs import OPTIONS, differences, write_corpus


@pytest.mark.slow
def test_two_processes_with_two_threads_each(tmp_path: Path) -> None:
    """Of a size at which products are split over threads; in float32 and in bf16."""
    precisions = ["32-true", "bf16-mixed" if cpu_runs_bf16("lstm") else "auto"]
    words = [
        *("train", "-m", *OPTIONS, "trainer.threads=2", "trainer.max_steps=14"),
        *("model.hidden_size=128", "model.embedding_size=64", "data.batch_size=20"),
        "trainer.precision=" + ",".join(precisions),
    ]
    write_corpus(tmp_path)
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        # beside other tests, threads that wait for each other should not keep them from working
        "OMP_WAIT_POLICY": "passive",
    }
    for name in ("one", "other"):
        command = [sys.executable, "-m", "charrnn", *words, f"hydra.sweep.dir={name}"]
        subprocess.run(command, cwd=tmp_path, env=env, check=True)
    jobs = sorted(path.name for path in tmp_path.glob("one/[01]*"))
    assert len(jobs) == 2
    for job in jobs:
        assert differences(tmp_path / "one" / job, tmp_path / "other" / job) == []
    if precisions[1] == "bf16-mixed":
        assert "weights" in differences(*(tmp_path / "one" / job for job in jobs))
