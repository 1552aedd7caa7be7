"""Sweeps whose jobs run in other processes: hydra/launcher=joblib and submitit_local."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from charrnn.cli.checked_options import UnknownOption
from charrnn.errors import InputError, Interrupted, RunError
from tests import REPOSITORY
from tests.small_runs import SMALL, read_record, tensors
from tests.training.test_processes import children

PACKAGES = {"joblib": "hydra-joblib-launcher", "submitit_local": "hydra-submitit-launcher"}


@pytest.fixture(params=["joblib", "submitit_local"])
def launcher(request: pytest.FixtureRequest) -> str:
    """Return the launcher's name. Skip the test if its package is missing."""
    package = PACKAGES[request.param]
    try:
        found = importlib.util.find_spec(f"hydra_plugins.{package.replace('-', '_')}")
    except ModuleNotFoundError:
        found = None
    if found is None:
        pytest.skip(f"needs {package}: pip install -e '.[launchers]'")
    return str(request.param)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def sweep(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-m", "charrnn", "train", *SMALL, "-m", "hydra.sweep.dir=sweep", *words],
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_jobs_train_side_by_side_and_go_on(launcher: str, workplace: Path) -> None:
    words = [f"hydra/launcher={launcher}", "trainer.max_steps=2", "data.batch_size=64"]
    words += ["model.hidden_size=8,9", "data.input_txt='no.txt','corpus.txt'"]
    words += ["threads=null"]
    words += ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    done = sweep(*words)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("charrnn train: a job failed: ")
    assert "/no.txt: no such file" in last
    assert "Traceback" not in done.stderr
    assert "hydra.sweep.dir=sweep resume=auto\n" in done.stderr
    # the others have a folder each, and are on the board
    trained = sorted(path.parent for path in (workplace / "sweep").glob("*/model.safetensors"))
    names = [
        f"{n}_data.input_txt=corpus.txt,model.hidden_size={size}" for n, size in [(1, 8), (3, 9)]
    ]
    assert [path.name for path in trained] == names
    assert len((workplace / "sweep" / "leaderboard.csv").read_text().splitlines()) == 3
    if launcher == "joblib":
        # they share the threads out, and a thread has eight streams or more
        threads = max(1, min(importlib.import_module("joblib").cpu_count() // 2, 64 // 8))
        assert {read_record(path)["threads"] for path in trained} == {threads}
    (workplace / "no.txt").write_text((workplace / "corpus.txt").read_text())
    done = sweep(*words, "resume=auto")
    assert done.returncode == 0, done.stderr
    assert len((workplace / "sweep" / "leaderboard.csv").read_text().splitlines()) == 5


@pytest.mark.slow
def test_joblibs_workers_end_with_the_command(workplace: Path) -> None:
    """Check that a kill leaves no worker, and that the jobs continue where they were saved."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["hydra/launcher=joblib", "seed=1,2", "hydra.launcher.n_jobs=2"]
    words += ["trainer.max_steps=100000", "trainer.max_epochs=null", "validate_every=50000"]
    command = subprocess.Popen(
        [sys.executable, "-m", "charrnn", "train", *SMALL, "-m", "hydra.sweep.dir=sweep", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    runs = [workplace / "sweep" / f"{n}_seed={n + 1}" for n in range(2)]
    wait_for(lambda: all((run / "checkpoints" / "last.ckpt").exists() for run in runs))
    workers = children(command.pid)
    assert len(workers) >= 2
    command.kill()
    command.wait()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    steps = [tensors(run)["step"] for run in runs]
    done = sweep(*words, f"trainer.max_steps={max(steps) + 7}", "resume=auto")
    assert done.returncode == 0, done.stderr
    assert {tensors(run)["step"] for run in runs} == {max(steps) + 7}


@pytest.mark.parametrize(
    "error",
    [InputError("a"), RunError("a"), Interrupted("saved", 15), UnknownOption("a=3", "a", ["b"])],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_through_between_processes(error: BaseException) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
