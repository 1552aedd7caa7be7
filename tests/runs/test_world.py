"""Test what the environment tells about the processes beside this one."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.cli.overrides import read_text
from charrnn.commands.train import prepare_words
from charrnn.errors import InputError
from charrnn.runs import world as worlds
from charrnn.runs.world import SINGLE_PROCESS, World, detect_world

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "5", "LOCAL_RANK": "1"}
SRUN = {
    **{"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "2"},
    **{"SLURM_PROCID": "3", "SLURM_LOCALID": "1"},
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    more = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
    for name in (*TORCHRUN, *SRUN, *more, "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)

    def set_all(values: dict[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


EIGHT = {**TORCHRUN, "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
FOUR_TASKS = {**SRUN, "SLURM_STEP_NUM_TASKS": "4"}
ONE_TASK = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, SINGLE_PROCESS),
        # what a batch script without srun has
        ({"SLURM_JOB_ID": "12", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, SINGLE_PROCESS),
        ({**SRUN, **ONE_TASK}, SINGLE_PROCESS),
        (EIGHT, World("torchrun", 5, 1, 8, 4)),
        (FOUR_TASKS, World("srun", 3, 1, 4, 2)),
    ],
)
def test_the_environment_tells_the_rank_of_a_process(
    environment: Any, variables: dict[str, str], expected: World
) -> None:
    environment(variables)
    assert detect_world() == expected
    assert expected.nodes == (1 if expected is SINGLE_PROCESS else 2)


def test_torch_gets_the_ranks_of_srun(environment: Any) -> None:
    environment({**dict.fromkeys(EIGHT, ""), "GROUP_RANK": ""})
    environment(World("srun", 5, 1, 8, 4).to_environment())
    assert detect_world() == World("torchrun", 5, 1, 8, 4)


class Slurm:
    """Stands in for scontrol."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        return subprocess.CompletedProcess(command, 0, self.answer, "")


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("JobId=12 JobState=RUNNING BatchFlag=1", "SLURM job 12 is queued again"),
        # cancelled, or out of time: it must not come back from the dead
        ("JobId=12 JobState=COMPLETING BatchFlag=1", "SLURM is already ending job 12"),
        ("JobId=12 JobState=RUNNING BatchFlag=0", None),
        ("", None),
    ],
)
def test_requeue(
    environment: Any, monkeypatch: pytest.MonkeyPatch, state: str, line: str | None
) -> None:
    environment(SRUN)
    slurm = Slurm(state)
    monkeypatch.setattr(worlds.subprocess, "run", slurm)
    answer = worlds.requeue_slurm_job()
    assert answer is line is None or str(answer).startswith(str(line))
    assert (["scontrol", "requeue", "12"] in slurm.commands) == ("queued again" in str(line))


def test_a_job_finds_its_folder_again(
    environment: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    environment(SRUN)
    monkeypatch.setattr(worlds.subprocess, "run", Slurm("JobId=12 JobState=RUNNING BatchFlag=1"))
    folder = "outputs/train/slurm/12-0"
    given = ["model=gru", "tags=[a]"]
    where = f"hydra.run.dir='{folder}'"
    assert prepare_words(given) == [*given, where]
    (tmp_path / folder / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="holds a run already"):
        prepare_words(given)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert prepare_words(given) == [*given, where, "resume='auto'"]
    assert read_text(prepare_words([*given, "resume='other.ckpt'"]), "resume") == folder


def test_a_rank_that_no_launcher_gave(
    environment: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment({"SLURM_PROCID": "0"})
    for name in worlds.RANKS:
        for value in ("1", "-1", "x", ""):
            with monkeypatch.context() as patch:
                patch.setenv(name, value)
                with pytest.raises(InputError, match=f"^{name}={value}: "):
                    detect_world()
    environment({"RANK": "1"})
    assert main(["train"]) == 2
    assert re.fullmatch("charrnn train: RANK=1: .*\n", capsys.readouterr().err)
