"""Sweeps whose jobs run in other processes: hydra/launcher=joblib and submitit_local."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.errors import InputError, Interrupted, RunError
from tests import REPOSITORY
from tests.small_runs import SMALL, read_record


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_train_side_by_side_and_go_on(launcher: str, workplace: Path) -> None:
    package = f"hydra_plugins.hydra_{launcher.removesuffix('_local')}_launcher"
    pytest.importorskip(package, reason="needs pip install -e '.[launchers]'")

    def sweep(code: int, *words: str) -> list[str]:
        """Run the sweep and return the lines of its standard error."""
        command = [sys.executable, "-m", "charrnn", "train", *SMALL, "-m", "hydra.sweep.dir=sweep"]
        command += [f"hydra/launcher={launcher}", "trainer.max_steps=2", "data.batch_size=64"]
        command += ["model.hidden_size=8,9", "data.input_txt='one.txt','corpus.txt'"]
        command += ["threads=null", *["hydra.launcher.n_jobs=2"] * (launcher == "joblib"), *words]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        environment.pop("OMP_NUM_THREADS", None)
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False)
        return done.stderr.splitlines()

    (workplace / "one.txt").write_text("a")
    lines = sweep(1)
    assert lines[-1].startswith("charrnn train: not all jobs succeeded; the first that failed: ")
    assert "/one.txt: its training split has 1 characters" in lines[-1]
    assert any(line.endswith("hydra.sweep.dir=sweep resume=auto") for line in lines)
    trained = sorted(path.parent for path in (workplace / "sweep").glob("*/model.safetensors"))
    assert [path.name.partition("_")[0] for path in trained] == ["1", "3"]
    if launcher == "joblib":
        # they share the threads out, and a thread has eight streams or more
        threads = max(1, min(importlib.import_module("joblib").cpu_count() // 2, 64 // 8))
        assert {read_record(path)["threads"] for path in trained} == {threads}
    (workplace / "one.txt").write_text((workplace / "corpus.txt").read_text())
    sweep(0, "resume=auto")
    assert len((workplace / "sweep" / "leaderboard.csv").read_text().splitlines()) == 5


def test_errors_come_through_between_processes() -> None:
    for error in (InputError("a"), RunError("a"), Interrupted("saved", 15)):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
