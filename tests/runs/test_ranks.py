"""Test what the environment tells about the processes beside this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.runs.ranks import World, detect_world
from tests.small_runs import SMALL, tensors
from tests.tools import refusal_of

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "5", "LOCAL_RANK": "1"}
SRUN = {
    **{"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "2"},
    **{"SLURM_PROCID": "3", "SLURM_LOCALID": "1"},
}

SetAll = Callable[[dict[str, str]], object]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetAll:
    """Return a function that sets variables, in an environment without those of launchers."""
    more = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
    for name in (*TORCHRUN, *SRUN, *more):
        monkeypatch.delenv(name, raising=False)
    return lambda values: [monkeypatch.setenv(*item) for item in values.items()]


EIGHT = {**TORCHRUN, "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
FOUR_TASKS = {**SRUN, "SLURM_STEP_NUM_TASKS": "4"}
ONE_TASK = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, World()),
        # what a batch script without srun has
        ({"SLURM_JOB_ID": "12", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, World()),
        ({**SRUN, **ONE_TASK}, World()),
        (EIGHT, World("torchrun", 5, 1, 8, 4)),
        (FOUR_TASKS, World("srun", 3, 1, 4, 2)),
    ],
)
def test_the_environment_tells_the_rank_of_a_process(
    environment: SetAll, variables: dict[str, str], expected: World
) -> None:
    environment(variables)
    assert detect_world() == expected


@pytest.mark.parametrize(("name", "value"), [("RANK", "1"), ("LOCAL_RANK", "")])
def test_a_rank_that_no_launcher_gave_is_refused(
    name: str, value: str, environment: SetAll, capsys: pytest.CaptureFixture[str]
) -> None:
    environment({"SLURM_PROCID": "0", name: value})
    assert refusal_of(capsys, "train").startswith(f"charrnn train: {name}={value}: ")


def test_a_requeued_job_continues_in_its_folder(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run a job of a sweep again, as submitit does when SLURM requeues it."""
    sweep = ["train", "-m", *SMALL, "seed=1", "hydra.sweep.dir=sweep"]
    assert main([*sweep, "trainer.max_steps=3"]) == 0
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert main([*sweep, "trainer.max_steps=5"]) == 0
    assert "last.ckpt, step 3\n" in capsys.readouterr().err
    [run] = Path("sweep").glob("*/checkpoints")
    assert tensors(run.parent)["step"] == 5
