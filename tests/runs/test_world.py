"""Test what the environment tells about the processes beside this one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

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

SetAll = Callable[[dict[str, str]], object]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetAll:
    """Return a function that sets variables, in an environment without those of launchers."""
    more = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
    for name in (*TORCHRUN, *SRUN, *more, "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    return lambda values: [monkeypatch.setenv(*item) for item in values.items()]


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
    environment: SetAll, variables: dict[str, str], expected: World
) -> None:
    environment(variables)
    assert detect_world() == expected
    assert expected.nodes == (1 if expected is SINGLE_PROCESS else 2)


def test_torch_gets_the_ranks_of_srun(environment: SetAll) -> None:
    environment({**dict.fromkeys(EIGHT, ""), "GROUP_RANK": ""})
    environment(World("srun", 5, 1, 8, 4).to_environment())
    assert detect_world() == World("torchrun", 5, 1, 8, 4)


@pytest.fixture
def scontrol(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace scontrol by a mock."""
    run = Mock(return_value=Mock(returncode=0, stdout="JobId=12 JobState=RUNNING BatchFlag=1"))
    monkeypatch.setattr(worlds.subprocess, "run", run)
    return run


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("JobId=12 JobState=RUNNING BatchFlag=1", "SLURM job 12 is queued again"),
        # cancelled, or out of time: it must not come back from the dead
        ("JobId=12 JobState=COMPLETING BatchFlag=1", "SLURM is already ending job 12"),
        ("JobId=12 JobState=RUNNING BatchFlag=0", "None"),
        ("", "None"),
    ],
)
def test_requeue(environment: SetAll, scontrol: Mock, state: str, line: str) -> None:
    environment(SRUN)
    scontrol.return_value.stdout = state
    assert str(worlds.requeue_slurm_job()).startswith(line)
    commands = [call.args[0] for call in scontrol.call_args_list]
    assert (["scontrol", "requeue", "12"] in commands) == ("queued again" in line)


@pytest.mark.usefixtures("scontrol")
def test_a_job_finds_its_folder_again(
    environment: SetAll, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    environment(SRUN)
    folder = "outputs/train/slurm/12-0"
    given = ["model=gru", f"hydra.run.dir='{folder}'"]
    assert prepare_words(given[:1]) == given
    (tmp_path / folder / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="holds a run already"):
        prepare_words(given[:1])
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert prepare_words(given[:1]) == [*given, "resume='auto'"]
    assert read_text(prepare_words([*given[:1], "resume='other.ckpt'"]), "resume") == folder


@pytest.mark.parametrize("value", ["1", "-1", "x", ""])
@pytest.mark.parametrize("name", worlds.RANKS)
def test_a_rank_that_no_launcher_gave_is_refused(
    name: str, value: str, environment: SetAll, capsys: pytest.CaptureFixture[str]
) -> None:
    environment({"SLURM_PROCID": "0", name: value})
    assert main(["train"]) == 2
    assert re.fullmatch(f"charrnn train: {name}={value}: .*\n", capsys.readouterr().err)
