"""Sweeps of four jobs in which one fails and one is killed, by each launcher; then resumed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from charrnn.models import checkpoint
from tests.cli.test_launchers import PACKAGES, _until, command, environment, launcher, place, sweep
from tests.small_runs import assert_same

__all__ = ["launcher", "place"]

# the second one diverges
RATES = ("1e-3", "1e300", "2e-3", "3e-3")
WORDS = (
    *("model.hidden_size=8", "trainer.max_steps=600", "checkpoint_every=50", "validate_every=200"),
    *("logger=csv", "model.dropout=0.2", "callbacks.samples.length=0", "optimizer=adam"),
)


def run(folder: Path, number: int) -> Path:
    """The folder of a job, whatever follows its number in its name."""
    [found] = [path for path in folder.glob(f"{number}*") if path.is_dir()]
    return found


def state(folder: Path) -> dict[str, object]:
    content = checkpoint.read(folder / "checkpoints" / "last.ckpt")
    entry = content[checkpoint.ENTRY]
    return {name: content[name] for name in ("state_dict", "global_step")} | {"best": entry["best"]}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["basic", *PACKAGES])
def test_one_fails_one_is_killed_and_all_is_resumed(how: str, place: Path) -> None:
    if how != "basic":
        pytest.importorskip(f"hydra_plugins.{PACKAGES[how].replace('-', '_')}")
    words = [*WORDS, f"hydra/launcher={how}", f"optimizer.lr={','.join(RATES)}"]
    words += ["hydra.launcher.n_jobs=2"] if how == "joblib" else []
    running = subprocess.Popen(
        command("-m", "hydra.sweep.dir=sweep", *words),
        cwd=place,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _until(lambda: any(place.glob("sweep/2*/checkpoints/last.ckpt")), 300)
        os.kill(int((run(place / "sweep", 2) / ".lock").read_text()), signal.SIGKILL)
        _, said = running.communicate(timeout=500)
    finally:
        running.kill()
    assert running.returncode == (-signal.SIGKILL if how == "basic" else 1), said
    assert "training diverged" in said
    assert "Traceback" not in said
    if how != "basic":
        assert "; a job's process was killed" in said.splitlines()[-1]
    # a job that a launcher left alone goes on to its end
    for number in (0, 3) if how == "submitit_local" else ():
        _until(lambda n=number: state(run(place / "sweep", n))["global_step"] == 600, 300)
    done = sweep(place, *words, "resume=auto")
    assert done.returncode == 1, done.stderr
    assert "1 of 4 jobs failed" in done.stderr.splitlines()[-1]
    alone = subprocess.run(
        command("hydra.run.dir=alone", *WORDS, f"optimizer.lr={RATES[2]}"),
        cwd=place,
        env=environment(),
        capture_output=True,
    )
    assert alone.returncode == 0
    assert_same(state(run(place / "sweep", 2)), state(place / "alone"))
    for number in (0, 3):
        assert state(run(place / "sweep", number))["global_step"] == 600
    assert not (run(place / "sweep", 1) / "model.safetensors").exists()
